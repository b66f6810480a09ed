// A record of a frontier that never was.

import { type Frontier, type FrontierForm, standForms } from '../../src/records/index.js';
import { evaluation } from './manifest.js';

type Form = { readonly bytes?: number; readonly kl?: number; readonly rate?: number; readonly perplexity?: number };

export function makeForm({ bytes = 2e6, kl = 0.02, rate = 40, perplexity = 11 }: Form = {}): FrontierForm {
  return {
    ...{ file: 'lw', bytes, bitsPerWeight: 4.16, evaluation: evaluation(perplexity), ratio: [1, 1] },
    fidelity: {
      ...{ text: 'test', windows: 6, tokens: 1530, tail: kl * 25 },
      divergence: Array.from({ length: 6 }, (_, i) => kl * (0.9 + 0.2 * (i % 2))),
      agreement: Array.from({ length: 6 }, () => 0.9),
      greedy: { prompt: 16, tokens: 64, same: [64, 32], worst: null },
    },
    chosen: 'α = 0.5, γ = 0.5',
    speed: { tokensPerSecond: rate, turns: [rate - 1, rate, rate + 2] },
    fronts: { bytes: true, speed: true },
  };
}

/** Dense, int4, a GGUF file and one that was skipped. */
export function makeFrontier(): Frontier {
  const dense = evaluation(10);
  const text = { name: 'novels.txt', hash: 'a'.repeat(64), tokens: 99_011, windows: 6, length: 256 };
  const scored = { ...text, order: 'all' as const, bos: null };
  const [first, second, third] = standForms(
    [
      makeForm({ bytes: 1e7, kl: 1e-9, rate: 10, perplexity: 10 }),
      makeForm(),
      { ...makeForm({ bytes: 2.2e6, kl: 0.03 }), file: 'gguf' as const, chosen: '', speed: null },
    ],
    dense.nll,
  );
  return {
    format: 'layerwise-frontier',
    version: 1,
    tool: { version: '0.1.0', device: 'cpu' },
    source: { name: 'model', family: 'llama', blocks: 12, hashes: { 'model.safetensors': 'b'.repeat(64) } },
    texts: { calibration: null, validation: null, test: scored },
    seed: 0,
    dense,
    speeds: { threads: 2, tokens: 32, turns: 3 },
    contenders: [
      { name: 'dense', kind: 'dense', what: 'float32, packed', skipped: null, form: first! },
      { name: 'int4-stream', kind: 'stream', what: '4 bits', skipped: null, form: second! },
      { name: 'q4_0', kind: 'gguf', what: 'llama.cpp’s Q4_0', skipped: null, form: third! },
      { name: 'q4_k', kind: 'gguf', what: 'llama.cpp’s Q4_K', skipped: 'opt is no family of GGUF | sorry', form: null },
    ],
  };
}
