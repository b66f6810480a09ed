// Conversations as the model was trained on them: the Jinja template that comes with a checkpoint, chat_template.jinja
// or `chat_template` in tokenizer_config.json (a string, or a list of named ones of which "default" is it), rendered as
// transformers' apply_chat_template does. The template writes the special tokens itself, so that its text is encoded
// without any.

import { Template } from '@huggingface/jinja';
import { CheckpointError, OptionError } from '../base/portable.js';

export type ChatMessage = { readonly role: string; readonly content: string };

export interface ChatTemplate {
  /** The text that the assistant's next words continue. @throws OptionError E_OPTION_MESSAGES where the template refuses */
  render(messages: readonly ChatMessage[]): string;
}

type Sources = { readonly file: string | undefined; readonly config: unknown };
type Words = { readonly bos: string | undefined; readonly eos: string | undefined };

/** The template; undefined where there is none. @throws CheckpointError E_TEXT_CHAT_TEMPLATE where it is no Jinja */
export function createChatTemplate(sources: Sources, words: Words, where: string): ChatTemplate | undefined {
  const source = sources.file ?? findTemplate(sources.config);
  if (source === undefined) return undefined;
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    throw new CheckpointError(
      'E_TEXT_CHAT_TEMPLATE',
      `${where}: the chat template cannot be read: ${(cause as Error).message}. Remove it, or copy the checkpoint again.`,
      { file: where },
      { cause },
    );
  }
  return {
    render(messages) {
      try {
        return template.render({
          messages,
          add_generation_prompt: true,
          bos_token: words.bos ?? '',
          eos_token: words.eos ?? '',
        });
      } catch (cause) {
        throw new OptionError(
          'E_OPTION_MESSAGES',
          `messages: the model’s chat template refuses them: ${(cause as Error).message}. See the order of roles that the model expects.`,
          { option: 'messages' },
          { cause },
        );
      }
    },
  };
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
    'The model has no chat template (neither chat_template.jinja nor chat_template in tokenizer_config.json); it was not made for conversations. Use /v1/completions.',
  );
}
