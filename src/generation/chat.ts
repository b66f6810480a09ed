// Conversations in the form that the model was trained on: the Jinja template of a checkpoint (chat_template.jinja, or
// `chat_template` in tokenizer_config.json: a string, or a list of named templates of which "default" is used), rendered as
// transformers’ apply_chat_template renders it. The template writes the special tokens itself, so its text is encoded
// without adding any.

import { CheckpointError, OptionError, UnsupportedError } from '../base/portable.js';
import { JinjaError } from './jinja/problem.js';
import { createTemplate, type JinjaTemplate, toValue } from './jinja/template.js';
import type { Dict, Value } from './jinja/values.js';
import { prepareMessages } from './messages.js';

/** A message as in OpenAI’s API; the template receives all of its keys. */
export type ChatMessage = {
  readonly role: string;
  readonly content?: string | readonly object[] | null;
  readonly [key: string]: unknown;
};

export type ChatOptions = {
  /** JSON schemas of functions. Defaults to none. */
  readonly tools?: readonly object[] | undefined;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown> | undefined;
  /** The time for `strftime_now`. Defaults to now. */
  readonly now?: Date | undefined;
  /** Whether parts of a message may be images, `{ "type": "image" }`, for which the template writes a token. Defaults to false. */
  readonly images?: boolean | undefined;
};

export interface ChatTemplate {
  /**
   * The text that the assistant continues. Messages may be what `readChatJson` returned.
   * @throws OptionError E_OPTION_MESSAGES where they are malformed or the template refuses them; UnsupportedError
   * E_UNSUPPORTED_CHAT_TEMPLATE where the template needs something we do not have
   */
  render(messages: readonly ChatMessage[] | Value, options?: ChatOptions): string;
}

type Sources = { readonly file: string | undefined; readonly config: unknown };

/** Special tokens by their names in tokenizer_config.json (`bos_token` …), which templates use. */
export type SpecialWords = Readonly<Record<string, string>>;

/** Variables that are ours to give. */
const TOKENS_PER_EXPERT = ['messages', 'tools', 'documents', 'add_generation_prompt'];

/** The template; undefined where there is none. @throws CheckpointError E_TEXT_CHAT_TEMPLATE where it is not valid Jinja */
export function createChatTemplate(sources: Sources, words: SpecialWords, where: string): ChatTemplate | undefined {
  const source = sources.file ?? findTemplate(sources.config);
  if (source === undefined) return undefined;
  const template = readTemplate(source, where);
  return {
    render(messages, { tools, variables = {}, now, images } = {}) {
      if (template instanceof JinjaError) throw explain(template);
      const further = toValue(variables) as Dict;
      for (const name of TOKENS_PER_EXPERT) {
        if (!further.has(name)) continue;
        throw new OptionError(
          'E_OPTION_TEMPLATE',
          `${name}: not a variable that may be set for a chat template. Leave it out.`,
          {
            option: 'chat_template_kwargs',
          },
        );
      }
      const prepared = prepareMessages(toValue(messages), template, images);
      try {
        return template.render(
          {
            ...words,
            ...Object.fromEntries(further),
            ...{ messages: prepared, tools: toValue(tools), documents: null, add_generation_prompt: true },
          },
          now,
        );
      } catch (error) {
        if (error instanceof JinjaError || error instanceof RangeError) throw explain(error);
        throw error;
      }
    },
  };
}

/**
 * The template, or the reason why it cannot be rendered. The reason is thrown only when the template is used, because the
 * model works without it.
 */
function readTemplate(source: string, where: string): JinjaTemplate | JinjaError {
  try {
    return createTemplate(source);
  } catch (cause) {
    if (cause instanceof JinjaError && cause.fault === 'unsupported') return cause;
    throw new CheckpointError(
      'E_TEXT_CHAT_TEMPLATE',
      `${where}: the chat template cannot be read: ${(cause as Error).message}. Remove it, or copy the checkpoint again.`,
      { file: where },
      { cause },
    );
  }
}

function explain(cause: JinjaError | RangeError): OptionError | UnsupportedError {
  if (cause instanceof JinjaError && cause.fault === 'unsupported') {
    return new UnsupportedError(
      'E_UNSUPPORTED_CHAT_TEMPLATE',
      `The model’s chat template needs something that Layerwise does not have: ${cause.message}. Render it with transformers and pass the text as a prompt.`,
      { needs: cause.message },
      { cause },
    );
  }
  return new OptionError(
    'E_OPTION_MESSAGES',
    `messages: the model’s chat template refuses them: ${cause.message}. Check the order of roles that the model expects.`,
    { option: 'messages' },
    { cause },
  );
}

function findTemplate(config: unknown): string | undefined {
  if (typeof config === 'string') return config;
  if (!Array.isArray(config)) return undefined;
  const named = config.find((one) => (one as { name?: unknown } | null)?.name === 'default') as
    | { template?: unknown }
    | undefined;
  return typeof named?.template === 'string' ? named.template : undefined;
}

/** @throws CheckpointError E_TEXT_CHAT_TEMPLATE where the model has no template */
export function requireChatTemplate(template: ChatTemplate | undefined): ChatTemplate {
  if (template) return template;
  throw new CheckpointError(
    'E_TEXT_CHAT_TEMPLATE',
    'The model has no chat template (neither chat_template.jinja nor chat_template in tokenizer_config.json); it is not a chat model. Use /v1/completions.',
  );
}
