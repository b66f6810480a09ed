// Plans as other tools take them. What those tools read was checked against their sources: llama.cpp tools/quantize,
// llm-compressor recipe.py and modifiers/pruning, AutoRound docs/step_by_step.md.

import { describe, expect, test } from 'vitest';
import { EXPORTERS, type ExportLinear, type ExportModel, findExporter } from '../../src/plan/index.js';
import { type Plan, type Treatment, validatePlan } from '../../src/records/index.js';
import { unit } from './units.js';

const SHAPES: readonly (readonly [role: string, module: string, rows: number, columns: number])[] = [
  ['q', 'self_attn.q_proj', 256, 256],
  ['k', 'self_attn.k_proj', 128, 256],
  ['v', 'self_attn.v_proj', 128, 256],
  ['o', 'self_attn.o_proj', 256, 256],
  ['gate', 'mlp.gate_proj', 544, 256],
  ['up', 'mlp.up_proj', 544, 256],
  ['down', 'mlp.down_proj', 256, 544],
];
const model: ExportModel = {
  family: 'llama',
  blocks: 2,
  linears: [0, 1].flatMap((block) =>
    SHAPES.map(
      ([role, module, rows, columns]): ExportLinear => ({
        ...unit(`model.layers.${block}.${module}`, block, role, rows, columns),
        dtype: 'BF16',
        expert: undefined,
      }),
    ),
  ),
};
const planOf = (units: Readonly<Record<string, Treatment>>): Plan => validatePlan({ units }, 'plan');
const bits = (n: number, group = 128): Treatment => ({ bits: { bits: n, group } });
const q = (block: number): string => `model.layers.${block}.self_attn.q_proj`;
const down = (block: number): string => `model.layers.${block}.mlp.down_proj`;
const write = (to: string, units: Readonly<Record<string, Treatment>>, of: ExportModel = model) =>
  findExporter(to).write(planOf(units), of);
const refusal = (linear: string, message: RegExp) =>
  expect.objectContaining({
    code: 'E_UNSUPPORTED_EXPORT',
    facts: expect.objectContaining({ linear }),
    message: expect.stringMatching(message),
  });

const mixed = { 'blocks.0': bits(4), [q(0)]: bits(8), [down(0)]: bits(4, 32), [q(1)]: bits(3, 256) };

describe('llama.cpp', () => {
  test('golden: a line per tensor that matches its whole name; narrow rows get types of 32 columns', () => {
    const { text, notes, usage } = write('llama.cpp', mixed);
    expect(text).toMatchInlineSnapshot(`
      "^blk\\.0\\.attn_q\\.weight$=q8_0
      ^blk\\.0\\.attn_k\\.weight$=q4_k
      ^blk\\.0\\.attn_v\\.weight$=q4_k
      ^blk\\.0\\.attn_output\\.weight$=q4_k
      ^blk\\.0\\.ffn_gate\\.weight$=q4_k
      ^blk\\.0\\.ffn_up\\.weight$=q4_k
      ^blk\\.0\\.ffn_down\\.weight$=q4_0
      ^blk\\.1\\.attn_q\\.weight$=q3_k
      ^blk\\.1\\.attn_k\\.weight$=bf16
      ^blk\\.1\\.attn_v\\.weight$=bf16
      ^blk\\.1\\.attn_output\\.weight$=bf16
      ^blk\\.1\\.ffn_gate\\.weight$=bf16
      ^blk\\.1\\.ffn_up\\.weight$=bf16
      ^blk\\.1\\.ffn_down\\.weight$=bf16
      "
    `);
    expect(notes).toHaveLength(1);
    expect(usage).toContain('--tensor-type-file');
    // As llama-quantize reads it: tokens, split at the first =, searched as a lower-case regular expression.
    const parts = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'attn_norm', 'ffn_gate', 'ffn_up', 'ffn_down'];
    const names = [0, 1, 11].flatMap((block) => parts.map((part) => `blk.${block}.${part}.weight`));
    const matched = text
      .split(/\s+/)
      .filter(Boolean)
      .map((token) => {
        const name = token.slice(0, token.indexOf('='));
        expect(name).toBe(name.toLowerCase());
        return names.filter((one) => new RegExp(name).test(one));
      });
    expect(matched.every(({ length }) => length === 1)).toBe(true);
    expect(new Set(matched.flat()).size).toBe(14);
  });

  test('experts are one tensor, and have to agree', () => {
    const experts: ExportModel = {
      ...{ family: 'mixtral', blocks: 1 },
      linears: [0, 1].map((expert) => ({ ...unit(`e.${expert}.w1`, 0, 'gate', 64, 256), dtype: 'F16', expert })),
    };
    expect(write('llama.cpp', { 'blocks.0': bits(6) }, experts).text).toBe('^blk\\.0\\.ffn_gate_exps\\.weight$=q6_k\n');
    expect(() => write('llama.cpp', { 'e.1.w1': bits(4) }, experts)).toThrow(refusal('e.1.w1', /equal bits/));
  });

  test.each([
    ['zeros', { [q(1)]: { zeros: { rate: 0.5 } } }, q(1), /zeros of 0\.5.*Prune the checkpoint first/],
    ['a removal', { [q(1)]: { drop: true as const } }, q(1), /drop/],
    ['3 bits of narrow rows', { [down(1)]: bits(3) }, down(1), /3 bits and 544 columns/],
    ['7 bits', { [q(0)]: bits(7) }, q(0), /2, 3, 4, 5, 6, 8 bits/],
  ])('%s are refused by name', (_what, units, linear, message) => {
    expect(() => write('llama.cpp', units)).toThrow(refusal(linear, message));
  });

  test('a family that llama.cpp lacks is refused', () => {
    expect(() => write('llama.cpp', mixed, { ...model, family: 'opt' })).toThrow(/family opt/);
  });
});

describe('llm-compressor', () => {
  test('golden: config groups of full names; pruning before it, a modifier for each rate and structure', () => {
    const zeros = (rate: number, pattern?: string): Treatment => ({
      zeros: { rate, ...(pattern === undefined ? {} : { pattern }) },
    });
    const units = {
      ...mixed,
      [q(1)]: { ...zeros(0.5, '2:4'), ...bits(4, 256) },
      [down(1)]: zeros(0.4),
      'model.layers.1.self_attn.v_proj': zeros(0.25, 'n:16'),
      'model.layers.1.self_attn.k_proj': zeros(0.3, 'row'),
    };
    expect(write('llm-compressor', units).text).toMatchInlineSnapshot(`
      "compress_stage:
        pruning_0_modifiers:
          SparseGPTModifier:
              sparsity: 0.5
              mask_structure: "2:4"
              targets:
                - "model.layers.1.self_attn.q_proj"
        pruning_1_modifiers:
          WandaPruningModifier:
              sparsity: 0.3
              mask_structure: "0:0"
              targets:
                - "model.layers.1.self_attn.k_proj"
        pruning_2_modifiers:
          SparseGPTModifier:
              sparsity: 0.25
              mask_structure: "4:16"
              targets:
                - "model.layers.1.self_attn.v_proj"
        pruning_3_modifiers:
          SparseGPTModifier:
              sparsity: 0.4
              mask_structure: "0:0"
              block_size: 128
              targets:
                - "model.layers.1.mlp.down_proj"
        quantization_modifiers:
          GPTQModifier:
            ignore: ["lm_head"]
            config_groups:
              group_0:
                weights: { num_bits: 8, type: int, symmetric: true, strategy: group, group_size: 128 }
                targets:
                  - "model.layers.0.self_attn.q_proj"
              group_1:
                weights: { num_bits: 4, type: int, symmetric: true, strategy: group, group_size: 128 }
                targets:
                  - "model.layers.0.self_attn.k_proj"
                  - "model.layers.0.self_attn.v_proj"
                  - "model.layers.0.self_attn.o_proj"
                  - "model.layers.0.mlp.gate_proj"
                  - "model.layers.0.mlp.up_proj"
              group_2:
                weights: { num_bits: 4, type: int, symmetric: true, strategy: group, group_size: 32 }
                targets:
                  - "model.layers.0.mlp.down_proj"
              group_3:
                weights: { num_bits: 4, type: int, symmetric: true, strategy: channel }
                targets:
                  - "model.layers.1.self_attn.q_proj"
      "
    `);
  });

  test('says what becomes of zeros without a pattern', () => {
    expect(write('llm-compressor', { [q(0)]: { zeros: { rate: 0.5 } } }).notes).toHaveLength(1);
    expect(write('llm-compressor', { [q(0)]: { zeros: { rate: 0.5, pattern: 'columns' } } }).notes).toEqual([]);
  });

  test('an empty plan is an empty recipe', () => {
    expect(write('llm-compressor', {}).text).toBe('compress_stage: {}\n');
  });

  test.each([
    ['the pattern matrix', { zeros: { rate: 0.5, pattern: 'matrix' } }, /matrix/],
    ['a rate that is no whole n:16', { zeros: { rate: 0.3, pattern: 'n:16' } }, /whole 16-ths/],
    ['another rate than a fixed pattern’s', { zeros: { rate: 0.25, pattern: '2:4' } }, /whole 4-ths/],
    ['groups that do not divide', bits(4, 96), /groups of 96/],
    ['1 bit', bits(1), /2 to 8 bits/],
    ['a number to keep', { keep: 2 }, /keep/],
  ])('%s is refused by name', (_what, treatment, message) => {
    expect(() => write('llm-compressor', { [q(1)]: treatment })).toThrow(refusal(q(1), message));
  });
});

describe('auto-round', () => {
  test('golden: every linear by its full name; unchanged ones have 16 bits', () => {
    expect(write('auto-round', { [q(0)]: bits(2), [down(1)]: bits(3, 1024) }).text).toMatchInlineSnapshot(`
      "{
        "model.layers.0.self_attn.q_proj": {
          "bits": 2,
          "group_size": 128,
          "sym": true,
          "data_type": "int"
        },
        "model.layers.0.self_attn.k_proj": {
          "bits": 16
        },
        "model.layers.0.self_attn.v_proj": {
          "bits": 16
        },
        "model.layers.0.self_attn.o_proj": {
          "bits": 16
        },
        "model.layers.0.mlp.gate_proj": {
          "bits": 16
        },
        "model.layers.0.mlp.up_proj": {
          "bits": 16
        },
        "model.layers.0.mlp.down_proj": {
          "bits": 16
        },
        "model.layers.1.self_attn.q_proj": {
          "bits": 16
        },
        "model.layers.1.self_attn.k_proj": {
          "bits": 16
        },
        "model.layers.1.self_attn.v_proj": {
          "bits": 16
        },
        "model.layers.1.self_attn.o_proj": {
          "bits": 16
        },
        "model.layers.1.mlp.gate_proj": {
          "bits": 16
        },
        "model.layers.1.mlp.up_proj": {
          "bits": 16
        },
        "model.layers.1.mlp.down_proj": {
          "bits": 3,
          "group_size": -1,
          "sym": true,
          "data_type": "int"
        }
      }
      "
    `);
  });

  test.each([
    ['zeros', { zeros: { rate: 0.5 } }, /zeros/],
    ['6 bits', bits(6), /6 bits/],
  ])('%s are refused by name', (_what, treatment, message) => {
    expect(() => write('auto-round', { [q(1)]: treatment })).toThrow(refusal(q(1), message));
  });
});

test.each([...EXPORTERS.keys()])('%s refuses names that the model lacks', (to) => {
  for (const id of ['blocks.2', 'lm_head']) {
    expect(() => write(to, { [id]: bits(4) })).toThrow(expect.objectContaining({ code: 'E_OPTION_PLAN' }));
  }
});

test('zeros at a rate of 0 are none', () => {
  for (const to of EXPORTERS.keys()) {
    expect(write(to, { [q(0)]: { zeros: { rate: 0 } } })).toEqual(write(to, {}));
  }
});

test('an unknown tool is refused with the known ones', () => {
  expect(() => findExporter('gptq')).toThrow(/expected one of llama\.cpp, llm-compressor, auto-round/);
});
