// Request bodies, checked. Parameters of others that we do not have are in absent.ts. Messages are checked where they are
// prepared for the chat template, which receives all of their keys.

import { z } from 'zod';
import { readChatJson } from '../generation/index.js';
import { refuseAbsent } from './absent.js';
import { RefusedError } from './problems.js';

/** Limits on texts and stop strings per request; alternatives as in OpenAI’s chat. */
const MAX_CHOICES = 16;
const MAX_STOPS = 16;
const MAX_TOP = 20;

const wholeNumber = (low: number, high: number) => z.number().int().min(low).max(high).nullish();

const sampling = {
  model: z.string().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: wholeNumber(-1, 2 ** 31),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().min(0.01).max(100).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string(), z.number().min(-100).max(100)).nullish(),
  n: wholeNumber(1, MAX_CHOICES),
  seed: wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  stop: z
    .union([z.string(), z.array(z.string()).max(MAX_STOPS)], `expected a string, or a list of up to ${MAX_STOPS}`)
    .nullish(),
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
  messages: z.array(z.unknown()).min(1).max(10_000),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: wholeNumber(0, MAX_TOP),
});

export type CompletionBody = z.infer<typeof completionBody>;
export type ChatBody = z.infer<typeof chatBody>;
export type SamplingBody = Pick<CompletionBody, keyof typeof sampling>;

/** The body of /v1/completions. @throws RefusedError */
export const parseCompletionBody = (text: string): CompletionBody => parse(completionBody, text, 'prompt');
/** The body of /v1/chat/completions. @throws RefusedError */
export const parseChatBody = (text: string): ChatBody => parse(chatBody, text, 'messages');

/** A chat’s messages and the other variables for its template, with numbers and keys as they were written. */
export function readConversation(text: string) {
  let body: ReadonlyMap<string, ReturnType<typeof readChatJson>>;
  try {
    body = readChatJson(text) as typeof body;
  } catch (error) {
    if (error instanceof RangeError) throw new RefusedError('The body is nested too deeply.', { word: 'invalid_json' });
    throw error;
  }
  const variables = body.get('chat_template_kwargs') as ReadonlyMap<string, unknown> | null | undefined;
  return { messages: body.get('messages')!, variables: variables ?? undefined };
}

function parse<T>(schema: z.ZodType<T>, text: string, route: 'messages' | 'prompt'): T {
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
  refuseAbsent(value as Readonly<Record<string, unknown>>, route);
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
  throw new RefusedError('prompt: expected a string, token ids, or a non-empty list of either.', {
    param: 'prompt',
  });
}

/** Stop strings. @throws RefusedError for an empty one or one with a lone surrogate */
export function listStops(stop: SamplingBody['stop']): readonly string[] {
  const stops = typeof stop === 'string' ? [stop] : (stop ?? []);
  for (const one of stops) {
    if (one !== '' && !/\p{Surrogate}/u.test(one)) continue;
    throw new RefusedError('stop: expected non-empty strings without lone surrogates.', {
      param: 'stop',
    });
  }
  return stops;
}
