// Which forms are on a front, and the record of a frontier.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Frontier,
  findFront,
  pairedInterval,
  parseFrontier,
  readContender,
  standForms,
} from '../../src/records/index.js';
import { frontierTable, markdownTable } from '../../src/words/index.js';
import { makeForm, makeFrontier } from '../report/frontier-record.js';
import { runs } from '../scale.js';

const point = (cost: number, ...loss: number[]) => ({ cost, loss });
const WINDOWS = 5;
const standing = fc.record({
  cost: fc.integer({ min: 1, max: 8 }),
  loss: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: WINDOWS, maxLength: WINDOWS }),
});
/** One window: losses are numbers, and there are no ties but equal ones. */
const exact = fc.record({
  cost: fc.integer({ min: 1, max: 8 }),
  loss: fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 1 }),
});

describe('the front', () => {
  test.each([
    ['alone', [point(1, 1)], [true]],
    ['cheaper and better', [point(1, 1), point(2, 2)], [true, false]],
    ['a trade', [point(1, 2), point(2, 1)], [true, true]],
    ['as cheap and better', [point(1, 1), point(1, 2)], [true, false]],
    ['cheaper and as good', [point(2, 1), point(1, 1)], [false, true]],
    ['equal in both', [point(1, 1), point(1, 1)], [true, true]],
    // The means differ by 0.1, and the differences go both ways.
    ['better within the noise, and dearer', [point(1, 1, 2, 3, 4), point(2, 1.5, 1.5, 2.3, 4.3)], [true, false]],
    // The same mean difference, in every window.
    ['better beyond the noise, and dearer', [point(1, 1, 2, 3, 4), point(2, 0.9, 1.9, 2.9, 3.9)], [true, true]],
  ])('%s', (_, all, front) => {
    expect(findFront(all)).toEqual(front);
  });

  test('it is never empty, and does not depend on the order', () => {
    fc.assert(
      fc.property(fc.array(standing, { minLength: 1, maxLength: 10 }), (all) => {
        const front = findFront(all);
        expect(front).toContain(true);
        expect(findFront([...all].reverse())).toEqual([...front].reverse());
      }),
      { numRuns: runs(300) },
    );
  });

  test('without noise it is the sorted sweep: walking up in cost, each is strictly better than all before', () => {
    fc.assert(
      fc.property(fc.array(exact, { minLength: 1, maxLength: 12 }), (all) => {
        const front = findFront(all);
        for (const [i, { cost, loss }] of all.entries()) {
          const below = all.filter((one) => one.cost < cost).map((one) => one.loss[0]!);
          const beside = all.filter((one) => one.cost === cost).map((one) => one.loss[0]!);
          const expected = loss[0]! < Math.min(Number.POSITIVE_INFINITY, ...below) && loss[0] === Math.min(...beside);
          expect(front[i]).toBe(expected);
        }
      }),
      { numRuns: runs(300) },
    );
  });

  test('one that is dearer and worse in every window changes nothing', () => {
    fc.assert(
      fc.property(fc.array(standing, { minLength: 1, maxLength: 8 }), fc.nat(7), (all, nth) => {
        const from = all[nth % all.length]!;
        const worse = { cost: from.cost + 1, loss: from.loss.map((value) => value + 1) };
        expect(findFront([...all, worse])).toEqual([...findFront(all), false]);
      }),
      { numRuns: runs(200) },
    );
  });
});

describe('the record', () => {
  test('is read as it was written, and every number of the table can be computed again', () => {
    const record = makeFrontier();
    expect(parseFrontier(JSON.stringify(record), 'frontier.json')).toEqual(record);
    const forms = record.contenders.flatMap(({ form }) => (form ? [form] : []));
    expect(standForms(forms, record.dense.nll)).toEqual(forms);
    for (const form of forms) expect(form.ratio).toEqual(pairedInterval(form.evaluation.nll, record.dense.nll));
  });

  test.each([
    ['another format', { format: 'layerwise-run' }, 'format'],
    ['no contender', { contenders: [] }, 'contenders'],
    ['a kind we do not know', { contenders: [{ ...makeFrontier().contenders[0]!, kind: 'magic' }] }, 'kind'],
    ['neither a form nor a reason', { contenders: [{ ...makeFrontier().contenders[0]!, form: null }] }, 'form'],
    ['both', { contenders: [{ ...makeFrontier().contenders[0]!, skipped: 'it rained' }] }, 'form'],
    ['no bytes', { contenders: [{ ...makeFrontier().contenders[0]!, form: { ...makeForm(), bytes: 0 } }] }, 'bytes'],
  ])('%s is refused with the place', (_, change, place) => {
    const text = JSON.stringify({ ...makeFrontier(), ...change });
    const parse = (): Frontier => parseFrontier(text, 'frontier.json');
    expect(parse).toThrow(expect.objectContaining({ code: 'E_OPTION_FRONTIER' }));
    expect(parse).toThrow(place);
  });

  test('speeds have a front of their own, of what was run', () => {
    const [slow, quick] = [makeForm({ bytes: 1e6, rate: 10 }), makeForm({ bytes: 2e6, rate: 20 })];
    const foreign = { ...makeForm({ bytes: 3e6 }), file: 'gguf' as const, speed: null };
    const fronts = standForms([slow, quick, foreign], slow.evaluation.nll).map((form) => form.fronts);
    expect(fronts).toEqual([
      { bytes: true, speed: false },
      { bytes: false, speed: true },
      { bytes: false, speed: null },
    ]);
  });
});

test('the table has a row for each form, and the reason of one that was skipped', () => {
  const rows = frontierTable(makeFrontier().contenders.map(readContender));
  expect(rows.map(([label]) => label)).toEqual(['', '1 dense', '2 int4-stream', '3 q4_0', '4 q4_k']);
  expect(rows[2]).toEqual([
    ...['2 int4-stream', '2.00 MB', '4.16', '40.0', 'bytes, speed', '0.02 (0.0182 … 0.0218)', '0.500', '90.0 %'],
    ...['11.000', '1.1000 … 1.1000', '48.0 of 64'],
  ]);
  expect(rows[4]![1]).toBe('skipped: opt is no family of GGUF | sorry');
  const lines = markdownTable(rows).split('\n');
  expect(lines).toHaveLength(6);
  for (const line of lines) expect(line.match(/(?<!\\)\|/g)).toHaveLength(rows[0]!.length + 1);
});
