// A request as tokens, as lm-evaluation-harness does it. White space at the end of the context moves to the continuation.
// Context and continuation are encoded as one text, and the context is encoded alone; the tokens of the text after as many
// tokens as the context has are those of the continuation. Requests that are too long for the model are cut from the left.

import { CheckpointError } from '../base/index.js';
import type { Tokenizer } from '../text/index.js';
import { rstripPython } from './python.js';
import type { LikelihoodRequest } from './requests.js';

/**
 * What the model reads, and the tokens it should predict: `targets` follow the last `targets.length` places of `input`. A
 * continuation longer than the model’s maximum loses its first tokens (the harness fails on it).
 */
export type EncodedRequest = {
  readonly input: Int32Array;
  readonly targets: Int32Array;
  /** What was cut: nothing, tokens of the context, or tokens of the continuation too. */
  readonly cut: 'nothing' | 'context' | 'continuation';
};

export type EncodeOptions = {
  /** Most tokens the model reads at once. */
  readonly length: number;
  /** Whether the tokenizer adds its special tokens. */
  readonly specialTokens: boolean;
};

/** The requests of one item; equal contexts are encoded once. @throws CheckpointError E_TASK_REQUEST */
export function encodeRequests(
  tokenizer: Tokenizer,
  requests: readonly LikelihoodRequest[],
  { length, specialTokens }: EncodeOptions,
): readonly EncodedRequest[] {
  const contexts = new Map<string, Int32Array>();
  return requests.map(({ context, continuation }) => {
    const stem = rstripPython(context);
    if (stem === '') refuse('a context with a word in it', context, continuation);
    const known = contexts.get(stem) ?? tokenizer.encode(stem, specialTokens);
    contexts.set(stem, known);
    const whole = tokenizer.encode(context + continuation, specialTokens);
    const targets = whole.subarray(known.length);
    if (targets.length === 0) refuse('a continuation of at least one token', context, continuation);
    return cutToLength(known, targets, length);
  });
}

function cutToLength(context: Int32Array, continuation: Int32Array, length: number): EncodedRequest {
  const whole = new Int32Array(context.length + continuation.length);
  whole.set(context);
  whole.set(continuation, context.length);
  const input = whole.slice(Math.max(0, whole.length - 1 - length), -1); // the last token is only predicted
  const cut = input.length === whole.length - 1 ? 'nothing' : continuation.length > length ? 'continuation' : 'context';
  return { input, targets: continuation.slice(-Math.min(continuation.length, input.length)), cut };
}

function refuse(expected: string, context: string, continuation: string): never {
  const shown = JSON.stringify({ context: context.slice(-60), continuation: continuation.slice(0, 60) });
  throw new CheckpointError('E_TASK_REQUEST', `An item asks for ${shown}: expected ${expected}. Remove the item.`, {
    expected,
    context: context.slice(-60),
    continuation: continuation.slice(0, 60),
  });
}
