import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mendConfig, mendingOf, readModelConfig, renumberTensor, reorderConfig } from '../../src/model/index.js';
import { runs } from '../scale.js';

describe('renumberTensor', () => {
  test('those of removed blocks go, those behind move up, all others stay', () => {
    const removed = new Set([1, 2, 10]);
    const rename = (name: string) => renumberTensor(name, removed, 'model.layers.');
    expect(rename('model.layers.0.mlp.up_proj.weight')).toBe('model.layers.0.mlp.up_proj.weight');
    expect(rename('model.layers.1.mlp.up_proj.weight')).toBeUndefined();
    expect(rename('model.layers.3.mlp.up_proj.weight')).toBe('model.layers.1.mlp.up_proj.weight');
    expect(rename('model.layers.11.self_attn.rotary_emb.inv_freq')).toBe(
      'model.layers.8.self_attn.rotary_emb.inv_freq',
    );
    for (const name of ['model.norm.weight', 'lm_head.weight', 'x.model.layers.1.w', 'model.layers.01.w']) {
      expect(rename(name)).toBe(name);
    }
  });
});

describe('mendingOf', () => {
  const sizes = { hidden_size: 8, intermediate_size: 8, vocab_size: 8, num_attention_heads: 2, num_key_value_heads: 1 };
  const mend = (config: object, ...gone: number[]): unknown => {
    const parsed = config as Record<string, unknown>;
    return JSON.parse(mendConfig(JSON.stringify(parsed), new Set(gone), mendingOf(parsed)));
  };

  test("GPT-2's count has a name of its own", () => {
    const config = { model_type: 'gpt2', n_embd: 8, n_layer: 5, n_head: 2, vocab_size: 8 };
    expect(mend(config, 0, 3)).toEqual({ ...config, n_layer: 3 });
  });

  test.each([{}, { layer_types: null }])(
    'which blocks have windows is written out where a number said it: %j',
    (more) => {
      const config = { model_type: 'gemma2', ...sizes, num_hidden_layers: 4, ...more };
      const layer_types = ['sliding_attention', 'sliding_attention', 'full_attention'];
      expect(mend(config, 1)).toEqual({ ...config, num_hidden_layers: 3, layer_types });
    },
  );

  test.each([
    [{ mlp_only_layers: [1, 4] }, { mlp_only_layers: [0, 3] }],
    [
      { decoder_sparse_step: 2, mlp_only_layers: [3] },
      { decoder_sparse_step: 1, mlp_only_layers: [1, 2, 3] },
    ],
    [{ decoder_sparse_step: 6 }, { decoder_sparse_step: 1, mlp_only_layers: [0, 1, 2, 3] }],
    [{ decoder_sparse_step: 1, mlp_only_layers: [] }, {}],
    [{}, {}],
  ])('which blocks have experts is written out where numbers said it: %j', (more, changed) => {
    const config = { model_type: 'qwen3_moe', ...sizes, num_hidden_layers: 5, ...more };
    const left = { ...config, num_hidden_layers: 4, ...changed };
    const got = mend(config, 0) as Record<string, unknown>;
    expect({ decoder_sparse_step: 1, ...got }).toEqual({ decoder_sparse_step: 1, ...left });
    const sparse = (one: object) => readModelConfig(one as Record<string, unknown>).mixtures;
    expect(sparse(got)).toEqual(sparse(config).slice(1));
  });

  test('in a description within the whole, and a list that is there loses its entries', () => {
    const [slides, full] = ['sliding_attention', 'full_attention'];
    const inner = { ...sizes, num_hidden_layers: 3, layer_types: [full, slides, full] };
    const config = { model_type: 'gemma3', vision_config: { num_hidden_layers: 3 }, text_config: inner };
    const left = { ...inner, num_hidden_layers: 2, layer_types: [full, slides] };
    expect(mend(config, 2)).toEqual({ ...config, text_config: left });
  });
});

describe('mendConfig', () => {
  test('edits what counts blocks and leaves every other character', () => {
    const text = `{
  "architectures": ["A", "B", "C"], "eos_token_id": [7,8,9],
  "rms_norm_eps": 1e-05,   "name": "\\"num_hidden_layers\\": [1, 2, 3]",
  "num_hidden_layers" : 3,
  "layer_types": [
    "full_attention",
    "sliding_attention",
    "full, ] attention"
  ],
  "no_rope_layers":[ 1,0 , [1] ],
  "max_window_layers": 2, "other": [1, 2], "empty": [],
  "nested": { "num_hidden_layers": 3, "list": [1, 2, 3] }
}
`;
    expect(mendConfig(text, new Set([1]))).toBe(`{
  "architectures": ["A", "B", "C"], "eos_token_id": [7,8,9],
  "rms_norm_eps": 1e-05,   "name": "\\"num_hidden_layers\\": [1, 2, 3]",
  "num_hidden_layers" : 2,
  "layer_types": [
    "full_attention",
    "full, ] attention"
  ],
  "no_rope_layers":[ 1 , [1] ],
  "max_window_layers": 1, "other": [1, 2], "empty": [],
  "nested": { "num_hidden_layers": 3, "list": [1, 2, 3] }
}
`);
  });

  test('for blocks that come several times, every list gets their entries, each with the separator it had', () => {
    const grow = (text: string, ...order: number[]): string => reorderConfig(text, () => order);
    expect(grow('{"num_hidden_layers":3, "a": [ "x",\n"y" ,"z" ]}', 0, 0, 1, 2, 2)).toBe(
      '{"num_hidden_layers":5, "a": [ "x",\n"x",\n"y" ,"z" ,"z" ]}',
    );
    expect(grow('{"num_hidden_layers":1, "a": [7]}', 0, 0)).toBe('{"num_hidden_layers":2, "a": [7, 7]}');
    expect(grow('{"num_hidden_layers":3,"max_window_layers":2}', 0, 1, 1, 2)).toBe(
      '{"num_hidden_layers":4,"max_window_layers":3}',
    );
    expect(grow('{"num_hidden_layers":3,"max_window_layers":3}', 0, 1, 2, 2)).toBe(
      '{"num_hidden_layers":4,"max_window_layers":4}',
    );
  });

  test('max_window_layers stays where it exceeds every block', () => {
    const text = '{"num_hidden_layers":4,"max_window_layers":4}';
    expect(mendConfig(text, new Set([0, 3]))).toBe('{"num_hidden_layers":2,"max_window_layers":4}');
  });

  test('is what parsing, filtering and printing comes to, for any config', () => {
    const key = fc.string().filter((name) => !['__proto__', 'num_hidden_layers', 'max_window_layers'].includes(name));
    const input = fc.integer({ min: 2, max: 6 }).chain((blocks) =>
      fc.record({
        blocks: fc.constant(blocks),
        removed: fc.subarray([...Array(blocks).keys()], { maxLength: blocks - 1 }),
        others: fc.dictionary(key, fc.jsonValue({ maxDepth: 2 })),
        list: fc.array(fc.jsonValue({ maxDepth: 2 }), { minLength: blocks, maxLength: blocks }),
        indent: fc.constantFrom(0, 1, 4),
      }),
    );
    const exempt = ['architectures', 'bos_token_id', 'eos_token_id', 'pad_token_id'];
    fc.assert(
      fc.property(input, ({ blocks, removed, others, list, indent }) => {
        const gone = new Set(removed);
        const print = (value: unknown): string => JSON.stringify(value, null, indent);
        const parsed: Record<string, unknown> = JSON.parse(
          print({ ...others, layer_types: list, num_hidden_layers: blocks }),
        );
        const expected = Object.entries(parsed).map(([name, value]) => {
          if (name === 'num_hidden_layers') return [name, blocks - gone.size];
          const perBlock = Array.isArray(value) && value.length === blocks && !exempt.includes(name);
          return [name, perBlock ? value.filter((_, i) => !gone.has(i)) : value];
        });
        expect(mendConfig(print(parsed), gone)).toBe(print(Object.fromEntries(expected)));
      }),
      { numRuns: runs(100) },
    );
  });
});
