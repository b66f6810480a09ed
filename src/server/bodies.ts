// Request bodies, checked. Parameters that would change the text and that we do not have are refused by name unless they
// say what we do anyway; ones nobody knows are ignored, as clients send many of their own.

import { z } from 'zod';
import { RefusedError } from './problems.js';

/** How many texts and stop strings a request may ask for; alternatives as OpenAI's chat has them. */
const MAX_CHOICES = 16;
const MAX_STOPS = 16;
const MAX_TOP = 20;

const wholeNumber = (low: number, high: number) => z.number().int().min(low).max(high).nullish();

const sampling = {
  model: z.string().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: wholeNumber(-1, 2 ** 31),
  n: wholeNumber(1, MAX_CHOICES),
  seed: wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  stop: z.union([z.string(), z.array(z.string()).max(MAX_STOPS)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: wholeNumber(0, 2 ** 31),
};

const completionBody = z.object({
  ...sampling,
  prompt: z.unknown().optional(),
  echo: z.boolean().nullish(),
  logprobs: wholeNumber(0, MAX_TOP),
});

const chatBody = z.object({
  ...sampling,
  max_completion_tokens: wholeNumber(0, 2 ** 31),
  messages: z
    .array(
      z.object({
        role: z.string().max(64),
        content: z.union([
          z.string(),
          z.array(z.object({ type: z.literal('text'), text: z.string() })), // pictures and sounds are refused by this
        ]),
      }),
    )
    .min(1)
    .max(10_000),
  logprobs: z.boolean().nullish(),
  top_logprobs: wholeNumber(0, MAX_TOP),
});

export type CompletionBody = z.infer<typeof completionBody>;
export type ChatBody = z.infer<typeof chatBody>;
export type SamplingBody = Pick<CompletionBody, keyof typeof sampling>;

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);
const isZero = (value: unknown): boolean => isEmpty(value) || value === 0;

/** Parameters we do not have, and which values of theirs ask for nothing. */
const ABSENT: Readonly<Record<string, (value: unknown, body: Readonly<Record<string, unknown>>) => boolean>> = {
  suffix: isEmpty,
  logit_bias: isEmpty,
  frequency_penalty: isZero,
  presence_penalty: isZero,
  best_of: (value, { n }) => isEmpty(value) || value === (n ?? 1),
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: (value) => isEmpty(value) || value === 'none' || value === 'auto',
  function_call: (value) => isEmpty(value) || value === 'none' || value === 'auto',
  response_format: (value) => isEmpty(value) || (value as { type?: unknown }).type === 'text',
  modalities: (value) => isEmpty(value) || JSON.stringify(value) === '["text"]',
  audio: isEmpty,
};

/** The body of /v1/completions. @throws RefusedError */
export const parseCompletionBody = (text: string): CompletionBody => parse(completionBody, text);
/** The body of /v1/chat/completions. @throws RefusedError */
export const parseChatBody = (text: string): ChatBody => parse(chatBody, text);

function parse<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RefusedError(`The body is not JSON: ${(error as Error).message}.`, { word: 'invalid_json' });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    const where = path.map(String).join('.');
    throw new RefusedError(`${where === '' ? 'The body' : where}: ${message}.`, {
      ...(path.length > 0 ? { param: String(path[0]) } : {}),
    });
  }
  const body = value as Readonly<Record<string, unknown>>;
  for (const [name, asksNothing] of Object.entries(ABSENT)) {
    if (asksNothing(Object.hasOwn(body, name) ? body[name] : undefined, body)) continue;
    throw new RefusedError(`${name}: this server does not have it. Leave it out.`, {
      param: name,
      word: 'unsupported_parameter',
    });
  }
  return parsed.data;
}

/** Prompts as text or as token ids, one or several. @throws RefusedError */
export function listPrompts(prompt: unknown): readonly (string | readonly number[])[] {
  const isTokens = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((one) => Number.isInteger(one) && one >= 0);
  if (prompt === undefined || prompt === null) return [''];
  if (typeof prompt === 'string') return [prompt];
  if (Array.isArray(prompt) && prompt.length > 0) {
    if (isTokens(prompt)) return [prompt];
    if (prompt.every((one) => typeof one === 'string' || isTokens(one))) return prompt;
  }
  throw new RefusedError('prompt: expected a string, token ids, or a list of either that is not empty.', {
    param: 'prompt',
  });
}

/** Stop strings. @throws RefusedError for one that is empty or no Unicode text */
export function listStops(stop: SamplingBody['stop']): readonly string[] {
  const stops = typeof stop === 'string' ? [stop] : (stop ?? []);
  for (const one of stops) {
    if (one !== '' && !/\p{Surrogate}/u.test(one)) continue;
    throw new RefusedError('stop: expected strings that are not empty and have no half of a surrogate pair.', {
      param: 'stop',
    });
  }
  return stops;
}
