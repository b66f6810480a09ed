// What every decode backend has to do, for the test of each (backend.test.ts). Cases take a backend and know no address.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import type { DecodeBackend, DecodeSession, Limits, StepRows } from '../../src/decoder/backend.js';
import { lowerModel } from '../../src/decoder/lower.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { type PackSettings, packInMemory } from '../../src/packed/index.js';
import { makeDir } from '../checkpoint/make.js';
import { furthest, goldenDir, readGolden } from '../model/golden.js';
import { LOGITS } from '../tolerances.js';
import { makeUneven } from '../uneven.js';
import { EXACT, INT8 } from './make.js';

/** LLaMA whose blocks have unequal widths: no golden checkpoint, and its caches differ from block to block. */
const UNEVEN = 'uneven';

type Opened = { readonly session: DecodeSession; readonly vocabulary: number };

async function open(backend: DecodeBackend, name: string, settings: PackSettings, limits: Limits): Promise<Opened> {
  const { checkpoint, config, tensorNames } = await openModel(
    name === UNEVEN ? await makeUneven(await makeDir()) : goldenDir(name),
  );
  const packed = await packInMemory({ checkpoint, tensors: describeTensors(config, tensorNames) }, settings, silent);
  const program = lowerModel(config, tensorNames, (weight) => packed.tensors.get(weight)!.layout.values !== 'f32');
  const session = await backend.open(program, packed, limits);
  await packed.close();
  return { session, vocabulary: program.vocabulary };
}

/** One sequence's tokens from position `start` on, with the logits of all. */
function rowsOf(sequence: number, tokens: readonly number[], start = 0): StepRows {
  const rows = tokens.map((_, i) => i);
  return {
    tokens,
    positions: rows.map((row) => start + row),
    runs: [{ sequence, start, from: 0, count: tokens.length }],
    picks: rows,
  };
}

/** Two steps' rows as one; the second's logits come first. */
const together = (one: StepRows, other: StepRows): StepRows => {
  const first = one.tokens.length;
  return {
    tokens: [...one.tokens, ...other.tokens],
    positions: [...one.positions, ...other.positions],
    runs: [...one.runs, ...other.runs.map((run) => ({ ...run, from: run.from + first }))],
    picks: [...other.picks.map((row) => row + first), ...one.picks],
  };
};

/** `create` makes the backend; `close` of a session is all that it needs afterwards. */
export function backendCases(create: () => DecodeBackend | Promise<DecodeBackend>): void {
  const limits: Limits = { sequences: 3, positions: 40, tokens: 64, picked: 64 };
  const tokensOf = async (name: string): Promise<number[]> => [
    ...(await readGolden(name === UNEVEN ? 'llama' : name)).windows.windows[0]!,
  ];

  // Caps on logits are put on above a backend, so none of these has one.
  test.each(['llama', 'gpt2', 'gpt_neox', 'opt', 'mixtral'])('%s: the logits of transformers', async (name) => {
    const golden = await readGolden(name);
    const { length } = golden.windows;
    const { session, vocabulary } = await open(await create(), name, EXACT, { ...limits, positions: length });
    const logits = await session.step(rowsOf(1, await tokensOf(name)));
    expect(logits.length).toBe(length * vocabulary);
    const first = golden.logits.subarray(0, logits.length);
    expect(furthest(logits, first)).toBeLessThanOrEqual(LOGITS);
    await session.close();
  });

  // One session for both: a GPU compiles a pipeline for each kernel of it.
  describe.each(['llama', 'gemma2', 'mixtral', UNEVEN])('%s', (name) => {
    let tokens: readonly number[];
    let opened: Opened;
    let whole: Float32Array;
    const part = (from: number, to = tokens.length) => whole.slice(from * opened.vocabulary, to * opened.vocabulary);
    beforeAll(async () => {
      tokens = (await tokensOf(name)).slice(0, 12);
      opened = await open(await create(), name, INT8, limits);
      whole = (await opened.session.step(rowsOf(0, tokens))).slice();
    });
    afterAll(() => opened.session.close());

    test('rows in company, picks in their order, steps that go on, and positions written again', async () => {
      const { session } = opened;
      await session.step(rowsOf(1, tokens.slice(0, 5)));
      const both = await session.step(together(rowsOf(1, tokens.slice(5), 5), rowsOf(2, tokens)));
      expect(both.slice(0, whole.length)).toEqual(whole);
      expect(both.slice(whole.length)).toEqual(part(5));

      const other = [...tokens.slice(7)].reverse();
      expect((await session.step(rowsOf(0, other, 7))).slice()).not.toEqual(part(7));
      expect((await session.step(rowsOf(0, tokens.slice(7), 7))).slice()).toEqual(part(7));
      expect(await session.step({ ...rowsOf(0, tokens), picks: [] })).toHaveLength(0);
    });

    test('a fork goes on as its origin does, and leaves it alone', async () => {
      const { session } = opened;
      expect((await session.step(rowsOf(2, tokens))).slice()).toEqual(whole);
      await session.step(rowsOf(0, [...tokens].reverse()));
      await session.fork(2, 0, 8);
      expect((await session.step(rowsOf(0, tokens.slice(8), 8))).slice()).toEqual(part(8));
      await session.step(rowsOf(0, [...tokens].reverse()));
      expect((await session.step(rowsOf(2, tokens.slice(8), 8))).slice()).toEqual(part(8));
    });
  });
}
