// Parameters of OpenAI and of other servers that would change the answer and that we do not have. They are refused by name
// unless their value asks for what we do anyway. Other unknown parameters are ignored, because clients send many of their
// own.

import { RefusedError } from './problems.js';

type Body = Readonly<Record<string, unknown>>;
/** Whether a value has no effect. */
type Neutral = (value: unknown, body: Body) => boolean;

const isEmpty: Neutral = (value) =>
  value === null ||
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);
/** No effect, or this value. */
const only =
  (...neutral: readonly unknown[]): Neutral =>
  (value) =>
    value === null || value === undefined || neutral.includes(value);
const isChoice: Neutral = (value) => isEmpty(value, {}) || value === 'none' || value === 'auto';

const ABSENT: Readonly<Record<string, Neutral>> = {
  // OpenAI's
  ...{ suffix: isEmpty, tools: isEmpty, functions: isEmpty, tool_choice: isChoice, function_call: isChoice },
  ...{
    audio: isEmpty,
    prediction: isEmpty,
    reasoning_effort: isEmpty,
    verbosity: isEmpty,
    web_search_options: isEmpty,
  },
  best_of: (value, { n }) => isEmpty(value, {}) || value === (n ?? 1),
  response_format: (value) => isEmpty(value, {}) || (value as { type?: unknown }).type === 'text',
  modalities: (value) => isEmpty(value, {}) || JSON.stringify(value) === '["text"]',
  // Limits on the text that may be written
  ...{ guided_json: isEmpty, guided_regex: isEmpty, guided_choice: isEmpty, guided_grammar: isEmpty },
  ...{ structured_outputs: isEmpty, grammar: isEmpty, json_schema: isEmpty, logits_processors: isEmpty },
  ...{ allowed_token_ids: isEmpty, bad_words: isEmpty, no_repeat_ngram_size: only(0) },
  // The end of a text, and which part of it is shown
  ...{ stop_token_ids: isEmpty, include_stop_str_in_output: only(false), ignore_eos: only(false), min_tokens: only(0) },
  ...{ skip_special_tokens: only(true), prompt_logprobs: only(), thinking_token_budget: only() },
  // Reading of a prompt
  ...{ truncate_prompt_tokens: only(), chat_template: isEmpty, documents: isEmpty },
  ...{ add_generation_prompt: only(true), continue_final_message: only(false) },
  add_special_tokens: (value, body) => only(!('messages' in body))(value, body),
  // Sampling
  ...{ use_beam_search: only(false), num_beams: only(1), length_penalty: only(1), do_sample: only(true) },
  ...{ typical_p: only(1, 0), tfs_z: only(1), top_a: only(0), top_n_sigma: only(-1, 0), mirostat: only(0) },
  ...{ dynatemp_range: only(0), xtc_probability: only(0), dry_multiplier: only(0), epsilon_cutoff: only(0) },
  ...{ eta_cutoff: only(0), samplers: isEmpty },
  // Other names for parameters that we have
  ...{ repeat_penalty: only(1), n_predict: only(), max_new_tokens: only(), n_probs: only(0) },
};

/** What a parameter is called here. */
const CALLED: Readonly<Record<string, string>> = {
  ...{ repeat_penalty: 'repetition_penalty', n_predict: 'max_tokens', max_new_tokens: 'max_tokens' },
  ...{ n_probs: 'logprobs', reasoning_effort: 'chat_template_kwargs', do_sample: 'temperature' },
};

/** Parameters that only one route has, and the values of them that have no effect on the other route. */
const ELSEWHERE: Readonly<Record<'messages' | 'prompt', Readonly<Record<string, Neutral>>>> = {
  messages: { echo: only(false) },
  prompt: { chat_template_kwargs: isEmpty, top_logprobs: only(), max_completion_tokens: only() },
};

/** @throws RefusedError for the first parameter that asks for something we do not have */
export function refuseAbsent(body: Body, route: 'messages' | 'prompt'): void {
  for (const [name, asksNothing] of Object.entries({ ...ABSENT, ...ELSEWHERE[route] })) {
    if (!Object.hasOwn(body, name) || asksNothing(body[name], body)) continue;
    const next = CALLED[name] === undefined ? 'Leave it out.' : `Leave it out, or see ${CALLED[name]}.`;
    throw new RefusedError(`${name}: this server does not have this parameter. ${next}`, {
      param: name,
      word: 'unsupported_parameter',
    });
  }
}
