// One request in the scheduler: the part of a step that it needs next, and what it does with the logits. The prompt is read
// in chunks that begin at the same places whatever else runs.

import { InternalError } from '../base/portable.js';
import type { Choice, StepPart } from '../decoder/index.js';
import { type Adjuster, createAdjuster } from './penalties.js';
import type { Finish, SequenceRequest } from './request.js';
import { checkChoice, createSampler, type Sampler } from './sampler.js';
import { type ScoredToken, scoreToken } from './scores.js';
import type { Slot } from './slots.js';

/** Most bytes of logits for a chunk of a prompt. */
const MAX_LOGITS = 32 << 20;

export class Sequence {
  readonly request: SequenceRequest;
  /** Resolved or rejected once, at the end. */
  readonly settle: { resolve(finish: Finish): void; reject(reason: unknown): void };
  slot: Slot | undefined;
  #sampler: Sampler;
  #adjuster: Adjuster | undefined;
  /** All tokens: the prompt, then what was generated. */
  #tokens: number[];
  /** How many of them the decoder has read. */
  #read = 0;

  constructor(request: SequenceRequest, settle: Sequence['settle']) {
    this.request = request;
    this.settle = settle;
    this.#sampler = createSampler(request.sampling);
    this.#adjuster = createAdjuster(request.sampling, request.prompt);
    this.#tokens = [...request.prompt];
  }

  begin(slot: Slot): void {
    this.slot = slot;
    this.#read = slot.length;
  }

  /** The tokens that the decoder has read. */
  get read(): readonly number[] {
    return this.#tokens.slice(0, this.#read);
  }

  /** Whether the next step generates: all but the last token has been read. */
  get generates(): boolean {
    return this.#read >= this.request.prompt.length;
  }

  /** How many tokens it can write next with nobody but the device looking at logits; 0 where somebody must. */
  get greedy(): number {
    const { prompt, maxTokens, sampling, scores } = this.request;
    if (!this.generates || sampling.temperature !== 0 || this.#adjuster || scores !== undefined) return 0;
    return maxTokens - (this.#tokens.length - prompt.length);
  }

  /** Where its greedy writing begins: the last token, which the decoder has not read. */
  get start(): { readonly sequence: number; readonly token: number } {
    return { sequence: this.slot!.sequence, token: this.#tokens.at(-1)! };
  }

  /** Takes the next token of greedy writing, after the decoder has read the last one. Returns as `take`. */
  takeChoice(choice: Choice): Finish | undefined {
    this.#read++;
    return this.#accept(checkChoice(choice), undefined);
  }

  /** Its part of the next step: one token, or at most `chunk` tokens of the prompt. */
  next(chunk: number, vocabulary: number): StepPart {
    const { prompt, promptScores, maxTokens } = this.request;
    const sequence = this.slot!.sequence;
    if (this.generates) return { sequence, tokens: this.#tokens.slice(this.#read), logits: 'last' };
    const scored = promptScores !== undefined;
    const limit = scored ? Math.max(1, Math.min(chunk, Math.floor(MAX_LOGITS / (4 * vocabulary)))) : chunk;
    const end = Math.min(prompt.length, (Math.floor(this.#read / limit) + 1) * limit);
    const logits = scored ? 'all' : end === prompt.length && maxTokens > 0 ? 'last' : 'none';
    return { sequence, tokens: prompt.slice(this.#read, end), logits };
  }

  /** Takes a step’s logits, rows of `vocabulary`. Returns how the request ended, or undefined if it continues. */
  async take(part: StepPart, logits: Float32Array, vocabulary: number, pause: () => Promise<void>) {
    const rows = { none: 0, last: 1, all: part.tokens.length }[part.logits];
    if (logits.length !== rows * vocabulary) {
      throw new InternalError('E_INTERNAL_LOGITS', `Expected ${rows} rows of logits, got ${logits.length} numbers.`);
    }
    const rowAt = (row: number): Float32Array => logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    const start = this.#read;
    this.#read += part.tokens.length;
    if (part.logits === 'all') await this.#scorePrompt(start, rowAt, pause);
    if (this.#read < this.request.prompt.length) return undefined;
    if (this.request.maxTokens === 0) return 'length';
    return this.#generate(rowAt(rows - 1));
  }

  async #scorePrompt(start: number, rowAt: (row: number) => Float32Array, pause: () => Promise<void>): Promise<void> {
    const { prompt, promptScores, onPrompt } = this.request;
    const scores: ScoredToken[] = [];
    for (let i = start; i < Math.min(this.#read, prompt.length - 1); i++) {
      await pause();
      scores.push(scoreToken(rowAt(i - start), prompt[i + 1]!, promptScores!));
    }
    onPrompt?.(scores);
  }

  #generate(logits: Float32Array): Finish | undefined {
    const { scores } = this.request;
    const token = this.#sampler(this.#adjuster?.adjust(logits) ?? logits);
    return this.#accept(token, scores === undefined ? undefined : () => scoreToken(logits, token, scores));
  }

  #accept(token: number, score: (() => ScoredToken) | undefined): Finish | undefined {
    const { prompt, maxTokens, stopTokens, onToken } = this.request;
    if (stopTokens.has(token)) return 'stop';
    this.#tokens.push(token);
    this.#adjuster?.add(token);
    if (onToken(token, score?.())) return 'stop';
    return this.#tokens.length - prompt.length >= maxTokens ? 'length' : undefined;
  }
}
