// Lists of widths in config.json: what they mean, and what is refused. What blocks of other widths compute is judged by zeros:
// test/formats/padded.test.ts compares them with even blocks that have zeros in place of what is missing.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LayerwiseError } from '../../src/base/index.js';
import { readModelConfig } from '../../src/model/index.js';
import { runs } from '../scale.js';
import { UNEVEN } from '../uneven.js';

const base = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  vocab_size: 100,
};
const of = ([heads, kvHeads, intermediate]: readonly [number, number, number]) => ({ heads, kvHeads, intermediate });
const read = (change: object) => readModelConfig({ ...base, ...change });

describe('layer_widths', () => {
  test('gives every block its own', () => {
    const { widths, stated, uneven } = read({ layer_widths: UNEVEN });
    expect(widths).toEqual(UNEVEN.map(of));
    expect(stated).toEqual(of([4, 2, 48]));
    expect(uneven).toBe(true);
  });

  test('without it, and where it says the same of all blocks, they are even', () => {
    const same = [...UNEVEN].fill([4, 2, 48] as never);
    for (const config of [read({}), read({ layer_widths: null }), read({ layer_widths: same })]) {
      expect(config.widths).toEqual(same.map(of));
      expect(config.uneven).toBe(false);
    }
  });

  test('in a block with experts, every expert is that wide', () => {
    const mixture = { model_type: 'mixtral', num_local_experts: 4, num_experts_per_tok: 2 };
    const { mixtures, widths } = read({ ...mixture, layer_widths: UNEVEN });
    expect(mixtures.map((one) => one!.width)).toEqual([48, 35, 17]);
    expect(widths.map(({ intermediate }) => intermediate)).toEqual([48, 35, 17]);
    expect(read(mixture).uneven).toBe(false);
  });

  test.each([
    [
      'too short',
      { layer_widths: UNEVEN.slice(1) },
      /layer_widths: expected a list with one entry for each of 3 blocks/,
    ],
    ['no list', { layer_widths: { 0: [4, 2, 48] } }, /layer_widths: expected a list/],
    [
      'an entry of two',
      {
        layer_widths: [
          [4, 2, 48],
          [4, 2],
          [4, 2, 48],
        ],
      },
      /layer_widths\[1\]: expected three whole/,
    ],
    [
      'zero heads',
      {
        layer_widths: [
          [4, 2, 48],
          [0, 2, 48],
          [4, 2, 48],
        ],
      },
      /layer_widths\[1\]/,
    ],
    [
      'a fraction',
      {
        layer_widths: [
          [4, 2, 48],
          [4, 2, 4.5],
          [4, 2, 48],
        ],
      },
      /layer_widths\[1\]/,
    ],
    [
      'a group that is not whole',
      {
        layer_widths: [
          [4, 2, 48],
          [3, 2, 48],
          [4, 2, 48],
        ],
      },
      /layer_widths\[1\].*multiple/,
    ],
    ['no head_dim', { layer_widths: UNEVEN, head_dim: undefined }, /head_dim: expected the size of a head/],
    ['two lists', { layer_widths: UNEVEN, block_configs: [] }, /layer_widths: expected one list/],
  ])('%s is refused', (_, change, message) => {
    expect(() => read(change)).toThrow(message);
    expect(() => read(change)).toThrow(expect.objectContaining({ code: 'E_CHECKPOINT_CONFIG' }));
  });

  test('any value is read or refused with a code', () => {
    const number = fc.oneof(fc.integer({ min: -2, max: 9 }), fc.double(), fc.constantFrom(2 ** 31, 2 ** 53, '4', null));
    const entry = fc.oneof(fc.tuple(number, number, number), fc.array(number, { maxLength: 4 }), fc.jsonValue());
    const list = fc.oneof(fc.array(entry, { minLength: 3, maxLength: 3 }), fc.array(entry), fc.jsonValue());
    fc.assert(
      fc.property(list, (layer_widths) => {
        try {
          for (const { heads, kvHeads, intermediate } of read({ layer_widths }).widths) {
            expect([heads, kvHeads, intermediate].every((one) => Number.isInteger(one) && one > 0)).toBe(true);
            expect(heads % kvHeads).toBe(0);
          }
        } catch (error) {
          if (!(error instanceof LayerwiseError)) throw error;
          expect(error.code).toBe('E_CHECKPOINT_CONFIG');
          expect(error.message.length).toBeLessThan(500);
        }
      }),
      { numRuns: runs(300) },
    );
  });
});
