// The numbers that scripts/golden/policies.py works on, to the bit, and what it found.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Linear, type LinearKind, type TapSite, unitOf } from '../../src/model/index.js';
import type { ModelFacts } from '../../src/plan/index.js';
import type { Measured } from '../../src/records/index.js';

type Golden = {
  readonly target: number;
  readonly shapes: readonly (readonly (readonly [rows: number, columns: number])[])[];
  readonly tokens: number;
  readonly measured: Omit<Measured, 'scores' | 'lamp' | 'sensitivity' | 'halfError'> & {
    readonly lamp: readonly (readonly number[])[];
  };
  readonly spectrum: { readonly eigenvalues: readonly number[]; readonly alpha: number };
  readonly rates: Readonly<Record<string, readonly number[]>>;
};

const path = fileURLToPath(new URL('../golden/policies.json', import.meta.url));
export const golden = JSON.parse(readFileSync(path, 'utf8')) as Golden;

const KINDS: readonly LinearKind[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];
const SITES: readonly (readonly [site: TapSite, feeds: Linear['feeds']])[] = [
  ['attention_in', 'attention_out'],
  ['attention_in', 'attention_out'],
  ['attention_in', 'attention_out'],
  ['attention_out', 'residual'],
  ['mlp_in', 'mlp_out'],
  ['mlp_in', 'mlp_out'],
  ['mlp_out', 'residual'],
];
export const goldenLinears: readonly Linear[] = golden.shapes.flatMap((shapes, block) =>
  shapes.map(([rows, columns], i) => ({
    name: `${block}.${KINDS[i]}`,
    kind: KINDS[i]!,
    block,
    rows,
    columns,
    site: SITES[i]![0],
    feeds: SITES[i]![1],
    sections: [rows],
    transposed: false,
    expert: undefined,
  })),
);
export const goldenFacts: ModelFacts = { blocks: golden.shapes.length, linears: goldenLinears.map(unitOf) };

/** Arrays of cubes of thousandths in [−1, 1], by a linear congruential generator. */
export function createNumbers(seed: number): (...shape: readonly number[]) => Float32Array {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(1103515245, state) + 12345) & 0x7fffffff;
    return (((state >>> 8) % 2001) - 1000) / 1000;
  };
  return (...shape) =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      const v = next();
      return v * v * v;
    });
}

const numbers = createNumbers(7);
/** W and |W|·‖X‖ of every linear, and the inputs of the blocks. */
export const goldenWeights = goldenLinears.map(({ rows, columns }) => numbers(rows, columns));
const norms = goldenLinears.map(({ columns }) => numbers(columns).map(Math.abs));
export const goldenScores = goldenWeights.map((W, l) =>
  W.map((w, i) => Math.abs(w) * norms[l]![i % goldenLinears[l]!.columns]!),
);
export const goldenInputs = [12, 12, 20].map((width) => ({ width, data: numbers(golden.tokens, width) }));
