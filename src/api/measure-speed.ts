// Measures side by side how fast models decode and read prompts. Contenders take turns, so other load on the machine affects
// all of them, and the median of the turns counts. Every contender warms up first, because V8 compiles WebAssembly in two
// tiers.

import type { OnProgress } from '../base/index.js';
import type { OpenDecoder } from '../decoder/index.js';

export type Contender = {
  readonly values: string;
  readonly layout: string;
  /** Zeros over all weights of the linears. */
  readonly sparsity: number;
  /** Bytes read per token: all weights but unused experts and all rows but one of the embedding table. */
  readonly bytesPerToken: number;
  readonly decoder: OpenDecoder;
};

type Named = Pick<Contender, 'values' | 'layout' | 'sparsity'>;
export type DecodeSpeed = Named & {
  readonly tokensPerSecond: number;
  readonly bytesPerToken: number;
  /** Bytes read per second as a share of what the same threads can read when they only read. */
  readonly bandwidthShare: number;
};
export type PrefillSpeed = Named & { readonly tokens: number; readonly tokensPerSecond: number };

export type Speeds = {
  readonly threads: number;
  /** On a GPU: dispatches of a token of the first model. */
  readonly dispatches: number | undefined;
  /** 10⁹ bytes per second. */
  readonly bandwidthGBs: number;
  readonly decode: readonly DecodeSpeed[];
  readonly prefill: readonly PrefillSpeed[];
};

export type MeasureOptions = {
  /** Tokens to decode per turn. */
  readonly tokens: number;
  /** Tokens of the prompt. */
  readonly prompt: number;
  readonly turns: number;
  readonly onProgress: OnProgress;
};

/** Positions in the cache when decoding begins. */
export const DECODE_CONTEXT = 16;

export async function measureSpeeds(contenders: readonly Contender[], options: MeasureOptions): Promise<Speeds> {
  const { tokens, prompt, turns, onProgress } = options;
  const runs = contenders.map(({ decoder }) => ({ decoder, sequence: decoder.open() }));
  const bandwidths: number[] = [];
  const decode = contenders.map((): number[] => []);
  const prefill = contenders.map((): number[] => []);
  onProgress({ kind: 'stage', stage: 'measuring', total: turns + 1 });
  for (let turn = 0; turn <= turns; turn++) {
    for (const [i, { decoder, sequence }] of runs.entries()) {
      const bandwidth = await decoder.measureBandwidth();
      const decoded = await timeDecoding(decoder, sequence, tokens);
      const filled = await timePrefill(decoder, sequence, prompt);
      if (turn === 0) continue; // to warm up
      bandwidths.push(bandwidth);
      decode[i]!.push(tokens / decoded);
      prefill[i]!.push(prompt / filled);
    }
    onProgress({ kind: 'advance' });
  }
  for (const { decoder, sequence } of runs) decoder.release(sequence);
  const bandwidth = median(bandwidths);
  const named = ({ values, layout, sparsity }: Contender): Named => ({ values, layout, sparsity });
  return {
    threads: contenders[0]!.decoder.info.threads,
    dispatches: contenders[0]!.decoder.info.dispatches,
    bandwidthGBs: bandwidth / 1e9,
    decode: contenders.map((contender, i) => {
      const tokensPerSecond = median(decode[i]!);
      const { bytesPerToken } = contender;
      const bandwidthShare = (tokensPerSecond * bytesPerToken) / bandwidth;
      return { ...named(contender), tokensPerSecond, bytesPerToken, bandwidthShare };
    }),
    prefill: contenders.map((contender, i) => {
      return { ...named(contender), tokens: prompt, tokensPerSecond: median(prefill[i]!) };
    }),
  };
}

/**
 * Seconds to decode `count` tokens one after the other: greedily where the decoder writes ahead, as texts of temperature 0 are
 * then, otherwise each with its logits.
 */
async function timeDecoding(decoder: OpenDecoder, sequence: number, count: number): Promise<number> {
  decoder.truncate(sequence, 0);
  await decoder.step([{ sequence, tokens: tokensFrom(decoder, 0, DECODE_CONTEXT), logits: 'none' }]);
  const started = performance.now();
  const writing = decoder.greedy?.write([{ sequence, token: tokensFrom(decoder, DECODE_CONTEXT, 1)[0]! }], count);
  if (writing) while (!(await writing.next()).done);
  for (let i = 0; !writing && i < count; i++) {
    await decoder.step([{ sequence, tokens: tokensFrom(decoder, DECODE_CONTEXT + i, 1), logits: 'last' }]);
  }
  return (performance.now() - started) / 1000;
}

async function timePrefill(decoder: OpenDecoder, sequence: number, count: number): Promise<number> {
  decoder.truncate(sequence, 0);
  const started = performance.now();
  await decoder.step([{ sequence, tokens: tokensFrom(decoder, 0, count), logits: 'last' }]);
  return (performance.now() - started) / 1000;
}

/** Arbitrary tokens. */
const tokensFrom = ({ info }: OpenDecoder, from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => ((from + i) * 7919) % info.vocabulary);

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
