// Where models grow, and of what.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findGrowMethod, GROW_METHODS, growBlocks, newBlocks, parseWhere } from '../../src/plan/index.js';
import { codeOf } from '../checkpoint/make.js';
import { runs } from '../scale.js';

const codeFrom = (work: () => unknown): Promise<string | undefined> => codeOf(Promise.resolve().then(work));

const show = (blocks: number, n: number, name: string, where?: readonly number[]): string =>
  growBlocks(blocks, n, findGrowMethod(name), where)
    .map(({ source, of }) => (of ? `[${of.join('+')}]` : `${source}`))
    .join(' ');

describe('growBlocks', () => {
  test('the papers’ places: LESA and SOLAR from 32 blocks to 48', () => {
    const lesa = growBlocks(32, 16, findGrowMethod('lesa'), undefined);
    expect(newBlocks(lesa)).toEqual(Array.from({ length: 16 }, (_, i) => 16 + 2 * i));
    expect(lesa[16]).toEqual({ source: 15, of: [15, 16] });
    expect(lesa.at(-2)).toEqual({ source: 30, of: [30, 31] });
    const solar = growBlocks(32, 16, findGrowMethod('solar'), undefined).map(({ source }) => source);
    const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    expect(solar).toEqual([...upTo(0, 24), ...upTo(8, 32)]);
  });

  test('of each method, by default and where it is told', () => {
    expect(show(4, 2, 'average')).toBe('0 1 [1+2] 2 [2+3] 3');
    expect(show(4, 2, 'copy')).toBe('0 1 [1] 2 3 [3]');
    expect(show(5, 2, 'llama-pro')).toBe('0 1 2 [2] 3 4 [4]');
    expect(show(5, 2, 'solar')).toBe('0 1 2 [1] [2] 3 4');
    expect(show(4, 2, 'lesa', [0, 2])).toBe('0 [0+1] 1 2 [2+3] 3');
    expect(show(4, 2, 'copy', [0, 3])).toBe('0 [0] 1 2 3 [3]');
    expect(show(4, 3, 'solar', [1, 2, 3])).toBe('0 1 2 3 [1] [2] [3]');
  });

  test('every block of the source stays, in order, and n are new', () => {
    const cases = fc.record({
      name: fc.constantFrom(...GROW_METHODS.keys()),
      blocks: fc.integer({ min: 2, max: 40 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ name, blocks, share }) => {
        const method = findGrowMethod(name);
        const n = 1 + Math.floor(share * (blocks - (method.between ? 2 : 1)));
        const grown = growBlocks(blocks, n, method, undefined);
        expect(grown.filter(({ of }) => !of).map(({ source }) => source)).toEqual(
          Array.from({ length: blocks }, (_, i) => i),
        );
        expect(newBlocks(grown)).toHaveLength(n);
        for (const { source, of } of grown)
          if (of) expect(of).toEqual(method.between ? [source, source + 1] : [source]);
      }),
      { numRuns: runs(100) },
    );
  });

  test.each([
    [4, 0, 'copy', undefined, 'E_OPTION_BLOCKS'],
    [4, 5, 'copy', undefined, 'E_OPTION_BLOCKS'],
    [4, 4, 'lesa', undefined, 'E_OPTION_BLOCKS'],
    [4, 1.5, 'average', undefined, 'E_OPTION_BLOCKS'],
    [4, 2, 'copy', [1], 'E_OPTION_WHERE'],
    [4, 1, 'copy', [4], 'E_OPTION_WHERE'],
    [4, 1, 'average', [3], 'E_OPTION_WHERE'],
    [4, 2, 'solar', [0, 2], 'E_OPTION_WHERE'],
  ] as const)('refuses %i blocks + %d by %s after %j', async (blocks, n, name, where, code) => {
    expect(await codeFrom(() => growBlocks(blocks, n, findGrowMethod(name), where))).toBe(code);
  });
});

describe('parseWhere', () => {
  test('a list, a run, one', () => {
    expect(parseWhere('3,5, 8')).toEqual([3, 5, 8]);
    expect(parseWhere('2..5')).toEqual([2, 3, 4, 5]);
    expect(parseWhere(' 7 ')).toEqual([7]);
    expect(parseWhere('0..0')).toEqual([0]);
  });

  test.each(['', '5..2', '3,3', '5,3', '-1', '1.5', 'a', '1..', '0..99999999', '3,'])('refuses %j', async (text) => {
    expect(await codeFrom(() => parseWhere(text))).toBe('E_OPTION_WHERE');
  });
});

test('a method has its name', async () => {
  for (const [name, method] of GROW_METHODS) expect(findGrowMethod(name)).toBe(method);
  expect(await codeFrom(() => findGrowMethod('mean'))).toBe('E_OPTION_METHOD');
});
