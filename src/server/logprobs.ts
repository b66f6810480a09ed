// Scores as OpenAI’s two routes show them. A token’s name is its text, or `bytes:\xe2\x80` where it is part of a character,
// so that two tokens with different bytes have different names. Of two tokens with the same name, `top_logprobs` has the
// likelier one, because it is a record by name.

import type { PlacedToken, ScoredToken, TokenScore } from '../generation/index.js';
import type { Codec } from '../text/index.js';

export type CompletionLogprobs = {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Readonly<Record<string, number>> | null)[];
  readonly text_offset: number[];
};

/** A token's name. */
function nameToken(codec: Codec, token: number): string {
  const bytes = codec.tokenBytes(token);
  if (bytes.length === 0) return `token_id:${token}`; // the model's vocabulary is larger than the tokenizer's
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

/** The likeliest tokens, and the token itself where it is not among them. */
function nameTop(codec: Codec, { token, logprob, top }: ScoredToken): Record<string, number> {
  const entries = new Map<string, number>();
  for (const one of [...top, { token, logprob }]) {
    const name = nameToken(codec, one.token);
    if (!entries.has(name)) entries.set(name, one.logprob);
  }
  return Object.fromEntries(entries);
}

/** The scores of /v1/completions; `base` is where the generated text begins in the text, in characters. */
export function listLogprobs(codec: Codec, tokens: readonly PlacedToken[], base: number): CompletionLogprobs {
  return {
    tokens: tokens.map(({ token }) => nameToken(codec, token)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map((one) => nameTop(codec, one)),
    text_offset: tokens.map(({ offset }) => base + offset),
  };
}

/** The scores of an echoed prompt; its first token has none. */
export function listPromptLogprobs(
  codec: Codec,
  prompt: readonly number[],
  scores: readonly ScoredToken[],
  offsets: readonly number[],
): CompletionLogprobs {
  return {
    tokens: prompt.map((token) => nameToken(codec, token)),
    token_logprobs: [null, ...scores.map(({ logprob }) => logprob)],
    top_logprobs: [null, ...scores.map((one) => nameTop(codec, one))],
    text_offset: [...offsets],
  };
}

export const joinLogprobs = (a: CompletionLogprobs, b: CompletionLogprobs): CompletionLogprobs => ({
  tokens: [...a.tokens, ...b.tokens],
  token_logprobs: [...a.token_logprobs, ...b.token_logprobs],
  top_logprobs: [...a.top_logprobs, ...b.top_logprobs],
  text_offset: [...a.text_offset, ...b.text_offset],
});

/** The scores of /v1/chat/completions. */
export const listChatLogprobs = (codec: Codec, tokens: readonly ScoredToken[]) => {
  const describe = ({ token, logprob }: TokenScore) => ({
    token: nameToken(codec, token),
    logprob,
    bytes: [...codec.tokenBytes(token)],
  });
  return {
    content: tokens.map((one) => ({ ...describe(one), top_logprobs: one.top.map(describe) })),
    refusal: null,
  };
};
