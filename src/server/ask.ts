// From a checked body to the scheduler: prompts as tokens that fit the model, and the call that represents them.

import { countCharacters } from '../base/index.js';
import {
  type Completion,
  type CompletionPiece,
  complete,
  encodePrompt,
  type Sampling,
  startSomewhere,
} from '../generation/index.js';
import { listStops, type SamplingBody } from './bodies.js';
import type { Call } from './calls.js';
import type { ServerContext } from './context.js';
import { EndedError, RefusedError } from './problems.js';

export type Prompt = {
  readonly tokens: readonly number[];
  /** The text as it is echoed. */
  readonly text: string;
};

/** @throws RefusedError where a request names another model; one without a name means this one */
export function requireModel({ settings }: ServerContext, asked: string | null | undefined): void {
  if (asked === null || asked === undefined || asked === settings.name) return;
  throw new RefusedError(`There is no model ${JSON.stringify(asked)} here, only ${JSON.stringify(settings.name)}.`, {
    ...{ status: 404, param: 'model', word: 'model_not_found' },
  });
}

type TextOptions = {
  /** Whether the tokenizer adds its special tokens; false where the text already has them. */
  readonly specialTokens: boolean;
  /** The parameter that held the text. */
  readonly param: 'prompt' | 'messages';
};

/** A prompt's text as tokens. @throws RefusedError */
export function readText(context: ServerContext, text: string, { specialTokens, param }: TextOptions): Prompt {
  const { model } = context;
  const { maxPositions } = model.info;
  // No tokenizer makes a text this long fit, so it is refused before tokenising it. Normalisers shorten by a factor below
  // 4.
  const limit = 4 * maxPositions * model.tokenizer.longestToken;
  if (text.length > limit) throw tooLong(maxPositions, `a prompt of ${countCharacters(text)} characters`);
  if (/\p{Surrogate}/u.test(text)) {
    throw new RefusedError(`${param}: expected Unicode text, got a lone surrogate.`, { param });
  }
  return { tokens: encodePrompt(model, text, specialTokens), text };
}

/** Reads a prompt of token ids, with its text if that is wanted. @throws RefusedError */
export function readTokens({ model }: ServerContext, tokens: readonly number[], wantsText: boolean): Prompt {
  const { vocabulary, maxPositions } = model.info;
  if (tokens.length > maxPositions) throw tooLong(maxPositions, `${tokens.length} in the prompt`);
  const stranger = tokens.find((token) => token >= vocabulary);
  if (stranger !== undefined) {
    throw new RefusedError(`prompt: expected token ids below ${vocabulary}, got ${stranger}.`, { param: 'prompt' });
  }
  return { tokens: startSomewhere(tokens, model.bos), text: wantsText ? model.tokenizer.decode(tokens) : '' };
}

/** What a request wants for one prompt. */
export type PromptRequest = {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly scores: number | undefined;
  readonly promptScores: number | undefined;
  readonly onPiece?: ((piece: CompletionPiece) => void) | undefined;
};

export type Answers = { readonly call: Call; readonly completions: Promise<readonly Completion[]> };

/** Submits all texts to the scheduler, or none. @throws RefusedError; ResourceError E_RESOURCE_QUEUE, E_RESOURCE_CLOSED */
export function ask(
  context: ServerContext,
  client: AbortSignal,
  body: SamplingBody,
  asked: readonly PromptRequest[],
): Answers {
  const { model, scheduler, calls, metrics } = context;
  const { maxPositions } = model.info;
  if (context.draining) throw new EndedError(503, 'The server is shutting down.');
  for (const { prompt, maxTokens } of asked) {
    if (prompt.length + maxTokens <= maxPositions) continue;
    throw tooLong(maxPositions, `${prompt.length} in the prompt and ${maxTokens} to generate`);
  }
  if (asked.length > scheduler.capacity) {
    throw new RefusedError(`${asked.length} texts in one request: expected at most ${scheduler.capacity}.`);
  }
  const sampling = samplingOf(body, model.info.vocabulary);
  const stops = listStops(body.stop);
  const firstSeed = body.seed ?? context.nextSeed();
  const call = calls.begin(client);
  const began = performance.now();
  let first = true;
  const onToken = (): void => {
    metrics.generatedTokens.add(1);
    if (first) metrics.firstTokenSeconds.observe((performance.now() - began) / 1000);
    first = false;
  };
  try {
    const promises = complete(
      scheduler,
      model.tokenizer,
      asked.map((one, i) => ({
        ...one,
        ...{ stops, onToken, stopTokens: model.eos, signal: call.signal },
        sampling: { ...sampling, seed: (firstSeed + i) % 2 ** 32 }, // createRng takes it modulo 2³²
      })),
    );
    for (const { prompt } of asked) metrics.promptTokens.add(prompt.length);
    const completions = Promise.all(promises).catch((error) => {
      call.leave(); // one failed, so the others are of no use
      throw error;
    });
    return { call, completions };
  } catch (error) {
    call.drop();
    throw error;
  }
}

/** @throws RefusedError where a bias is for a token that does not exist */
function samplingOf(body: SamplingBody, vocabulary: number): Omit<Sampling, 'seed'> {
  const logitBias = new Map(Object.entries(body.logit_bias ?? {}).map(([token, bias]) => [Number(token), bias]));
  const stranger = Object.keys(body.logit_bias ?? {}).find((one) => !/^\d+$/.test(one) || Number(one) >= vocabulary);
  if (stranger !== undefined) {
    const message = `logit_bias: expected token ids below ${vocabulary}, got ${stranger}.`;
    throw new RefusedError(message, { param: 'logit_bias' });
  }
  const { top_k: topK } = body;
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: topK === null || topK === undefined || topK <= 0 ? undefined : topK,
    minP: body.min_p ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    frequencyPenalty: body.frequency_penalty ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    logitBias,
  };
}

const tooLong = (maxPositions: number, what: string): RefusedError =>
  new RefusedError(
    `This model's maximum context length is ${maxPositions} tokens, but the request has ${what}. Shorten one of them.`,
    { word: 'context_length_exceeded' },
  );

export type Usage = {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
};

/** A prompt counts once, even if several texts continue it. */
export function countUsage(prompts: readonly Prompt[], completions: readonly Completion[]): Usage {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
  const prompt = sum(prompts.map(({ tokens }) => tokens.length));
  const completion = sum(completions.map(({ generated }) => generated));
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
