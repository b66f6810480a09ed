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

  describe('block_configs', () => {
    const block = (attention: object | null, ffn: object | null) => ({ attention, ffn });
    const plain = block({ n_heads_in_group: 2, no_op: false, window_length: null }, { intermediate_size: 40 });
    const decilm = (...blocks: unknown[]) =>
      read({
        ...{ model_type: 'nemotron-nas', num_key_value_heads: null, intermediate_size: null, head_dim: undefined },
        block_configs: blocks,
      });

    test('shares keys among the heads of the model, and an MLP is as wide as it says or as a factor does', () => {
      const wide = block({ n_heads_in_group: 4 }, { ffn_mult: 1.3125, intermediate_size: 9 });
      const { family, widths, stated, headDim } = decilm(plain, wide, plain);
      // 2/3 · 1.3125 · 32 = 28, up to 256.
      expect(widths).toEqual([of([4, 2, 40]), of([4, 1, 256]), of([4, 2, 40])]);
      expect(stated).toEqual(of([4, 4, 256]));
      expect([family, headDim]).toEqual(['llama', 8]);
    });

    test('the factor of Nemotron 51B gives its widths', () => {
      const sizes = { hidden_size: 8192, num_attention_heads: 64 };
      const of51 = (ffn_mult: number) =>
        read({
          ...{ model_type: 'nemotron-nas', ...sizes, head_dim: undefined, num_hidden_layers: 1 },
          block_configs: [block({ n_heads_in_group: 8 }, { ffn_mult })],
        }).widths[0]!.intermediate;
      expect([5.25, 2.625, 1.3125].map(of51)).toEqual([28_672, 14_336, 7168]);
    });

    test.each([
      ['attention.no_op', block({ n_heads_in_group: null, no_op: true }, { ffn_mult: 1 })],
      ['ffn.no_op', block({ n_heads_in_group: 2 }, { no_op: true })],
      ['attention.replace_with_linear', block({ n_heads_in_group: 2, replace_with_linear: true }, { ffn_mult: 1 })],
      ['attention.window_length', block({ n_heads_in_group: 2, window_length: 9 }, { ffn_mult: 1 })],
      ['ffn.hidden_act', block({ n_heads_in_group: 2 }, { ffn_mult: 1, hidden_act: 'gelu' })],
    ])('%s is refused by name', (key, entry) => {
      const error = expect.objectContaining({ code: 'E_UNSUPPORTED_CONFIG', message: expect.stringContaining(key) });
      expect(() => decilm(plain, entry, plain)).toThrow(error);
    });

    test.each([
      null,
      [],
      block(null, null),
      block({ n_heads_in_group: 3 }, { ffn_mult: 1 }),
      block({ n_heads_in_group: 2 }, { ffn_mult: -1 }),
      block({ n_heads_in_group: 2 }, { ffn_mult: 1e300 }),
      block({ n_heads_in_group: 2 }, {}),
    ])('%j is refused', (entry) => {
      expect(() => decilm(plain, entry, plain)).toThrow(expect.objectContaining({ code: 'E_CHECKPOINT_CONFIG' }));
    });
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
