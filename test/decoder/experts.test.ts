// Which experts tokens go to, and that only these work: routes against a plain choice, the calls of kernels that an
// operation makes, and a model in which all tokens of a pass go to one expert and none to two others.

import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bindExperts } from '../../src/decoder/wasm/bind-experts.js';
import type { Binding } from '../../src/decoder/wasm/binding.js';
import { findRoutes, makeRoutes } from '../../src/decoder/wasm/routes.js';
import { createReferenceEngine } from '../../src/engine/index.js';
import type { RuntimeKernels } from '../../src/kernels/index.js';
import { openModel } from '../../src/model/index.js';
import { HIDDEN, makeFolder, VOCABULARY } from '../api/make.js';
import { makeFamily } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { furthest } from '../model/golden.js';
import { runs } from '../scale.js';
import { LOGITS } from '../tolerances.js';
import { decodeAll, EXACT, INT8, openCheckpoint } from './make.js';

describe('routes', () => {
  const cases = fc
    .record({ experts: fc.integer({ min: 1, max: 9 }), tokens: fc.integer({ min: 1, max: 7 }) })
    .chain(({ experts, tokens }) =>
      fc.record({
        mixture: fc.record({
          experts: fc.constant(experts),
          perToken: fc.integer({ min: 1, max: experts }),
          width: fc.constant(1),
          normalised: fc.boolean(),
        }),
        // Few different numbers, so that many are equal.
        logits: fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: experts, maxLength: experts }), {
          minLength: tokens,
          maxLength: tokens,
        }),
      }),
    );

  test('go to the most probable experts, of equal ones the lower; their rows lie by expert, then by token', () => {
    fc.assert(
      fc.property(cases, ({ mixture, logits }) => {
        const { experts, perToken: k, normalised } = mixture;
        const routes = makeRoutes(logits.length + 2, mixture);
        const found = logits.map((own) => Float32Array.from(own));
        findRoutes(found, mixture, routes);
        const first = { starts: [...routes.starts], shares: [...routes.shares] };
        const wanted = logits.map((own) => [...own.keys()].sort((a, b) => own[b]! - own[a]! || a - b).slice(0, k));
        let row = 0;
        for (let expert = 0; expert < experts; expert++) {
          expect(routes.starts[expert]).toBe(row);
          for (const [token, chosen] of wanted.entries()) {
            const rank = chosen.indexOf(expert);
            if (rank < 0) continue;
            expect(routes.tokens[row]).toBe(token);
            expect(routes.rows[token * k + rank]).toBe(row);
            const of = normalised ? chosen : [...logits[token]!.keys()];
            const total = of.reduce((sum, one) => sum + Math.exp(logits[token]![one]!), 0);
            expect(routes.shares[token * k + rank]).toBeCloseTo(Math.exp(logits[token]![expert]!) / total, 6);
            row++;
          }
        }
        expect([routes.starts[experts], row]).toEqual([logits.length * k, logits.length * k]);
        findRoutes(found, mixture, routes);
        expect({ starts: [...routes.starts], shares: [...routes.shares] }).toEqual(first);
      }),
      { numRuns: runs(100) },
    );
  });

  test('stay within the experts where logits are no numbers', () => {
    const mixture = { experts: 4, perToken: 3, width: 1, normalised: true };
    const routes = makeRoutes(2, mixture);
    findRoutes([new Float32Array(4).fill(Number.NaN), Float32Array.of(1, Number.NaN, 2, -1)], mixture, routes);
    expect([...routes.rows].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(routes.starts[4]).toBe(6);
  });
});

test('each expert’s weights are read once a pass, for its own rows, by those that have some', () => {
  const mixture = { experts: 4, perToken: 2, width: 24, normalised: true };
  const routes = makeRoutes(3, mixture);
  // Expert 3 is given all three tokens, 0 two of them, 2 one, 1 none.
  findRoutes([Float32Array.of(1, 0, 0, 2), Float32Array.of(1, 0, 0, 2), Float32Array.of(0, 0, 1, 2)], mixture, routes);
  const calls: unknown[] = [];
  const kernels = {
    bindLinear: (_: unknown, [part]: readonly number[]) => ({
      ...{ rows: 24, columns: 16, groups: 3, quantised: part !== 2 },
      multiply: ({ x, y, tokens, from, to }: Parameters<ReturnType<RuntimeKernels['bindLinear']>['multiply']>[0]) =>
        calls.push([part, x, y.address, tokens, from, to]),
    }),
  };
  const tensors = Object.fromEntries([0, 1, 2, 3].map((i) => [`w${i}`, { layout: {}, parts: [i] }]));
  const binding = {
    ...{ kernels, routes, space: 'tokens', thread: { index: 1, count: 2 } },
    program: { buffers: [{ width: 16 }, { width: 24 }] },
    placement: {
      buffers: [1000, 2000],
      quantised: [{ address: 5000, stride: 32, scales: 7000 }],
      scratch: [{}, { sums: 0 }],
      tensors,
    },
  } as unknown as Binding;
  const operation = {
    kind: 'experts',
    x: { buffer: 0, offset: 0, width: 16, routed: 2 },
    q: 0,
    y: { buffer: 1, offset: 0, width: 24, routed: 2 },
    weights: Object.keys(tensors),
  } as const;
  bindExperts(binding, operation).run({ tokens: 3, runs: [], picked: 0, ahead: true });
  expect(calls).toEqual([
    [0, { address: 5000, stride: 32, scales: 7000 }, 2000, 2, 1, 3],
    // The one in float32 reads what was quantised for the others as it was.
    [2, { address: 1000 + 2 * 64, stride: 64 }, 2000 + 2 * 96, 1, 1, 3],
    [3, { address: 5000 + 3 * 32, stride: 32, scales: 7000 + 3 * 4 }, 2000 + 3 * 96, 3, 1, 3],
  ]);
});

describe('a mixture whose router gives every token to expert 2', () => {
  const tokens = Array.from({ length: 64 }, (_, i) => (i * 37 + 5) % VOCABULARY);
  // Of two opposite rows one is above 0 and first; of those of zeros the lowest is second, and the others are idle.
  const make = async (name: string, change: (tensor: string, values: Float32Array) => void = () => {}) =>
    makeFamily(join(await makeFolder(), name), 'mixtral', {
      change: (tensor, values) => {
        change(tensor, values);
        if (!tensor.endsWith('block_sparse_moe.gate.weight')) return;
        values.subarray(HIDDEN).fill(0);
        values.subarray(HIDDEN, 2 * HIDDEN).set(values.subarray(0, HIDDEN).map((value) => -value));
      },
    });
  const decode = async (dir: string, settings = INT8, threads = 2): Promise<Float32Array> => {
    const decoder = await openCheckpoint(dir, settings, { threads });
    const logits = await decodeAll(decoder, tokens);
    await decoder.close();
    return logits;
  };

  test('has the engine’s logits', async () => {
    const dir = await make('exact');
    const engine = createReferenceEngine();
    const windows = { length: tokens.length, windows: [Int32Array.from(tokens)] };
    const expected = await forwardLogits(engine, await openModel(dir), windows);
    await engine.close();
    expect(furthest(await decode(dir, EXACT), expected)).toBeLessThanOrEqual(LOGITS);
  });

  test('does not care what the idle ones would make of them', async () => {
    const scaled = (expert: number) => (tensor: string, values: Float32Array) => {
      if (tensor.includes(`.experts.${expert}.`)) for (let i = 0; i < values.length; i++) values[i]! *= 3;
    };
    const own = await decode(await make('own'));
    expect(await decode(await make('idle-3', scaled(3)), INT8, 1)).toEqual(own);
    expect(await decode(await make('idle-4', scaled(4)), INT8, 3)).toEqual(own);
    expect(await decode(await make('busy', scaled(2)))).not.toEqual(own);
  });
});
