// What a tensor is called when a model is stored otherwise than as a checkpoint.

import { describe, expect, test } from 'vitest';
import { describeTensors, readModelConfig, tensorNamesOf } from '../../src/model/index.js';
import { matrixOf } from '../../src/model/tensors.js';

const shape = { num_hidden_layers: 1, hidden_size: 8, intermediate_size: 12, vocab_size: 16, num_attention_heads: 2 };

const rolesOf = (config: Record<string, unknown>) => {
  const read = readModelConfig({ ...shape, ...config });
  const tensors = describeTensors(
    read,
    tensorNamesOf(read, () => true),
  );
  return new Map(
    tensors.map(({ name, role, rows, columns, transposed }) => [name, { role, rows, columns, transposed }]),
  );
};

describe('describeTensors', () => {
  test('gives each tensor the role that the family gives it', () => {
    const roles = rolesOf({ model_type: 'gpt2', n_layer: 1, n_embd: 8, n_inner: 12, n_head: 2, n_positions: 4 });
    const of = (end: string) => [...roles].find(([name]) => name.endsWith(end))?.[1];
    expect(of('wte.weight')).toEqual({ role: 'embedding', rows: 16, columns: 8, transposed: false });
    expect(of('wpe.weight')).toEqual({ role: 'positions', rows: 4, columns: 8, transposed: false });
    expect(of('attn.c_attn.weight')).toEqual({ role: 'linear', rows: 24, columns: 8, transposed: true });
    expect(of('ln_1.weight')).toEqual({ role: 'vector', rows: 1, columns: 8, transposed: false });
  });

  test('a router is no linear, and a head that is not tied is none either', () => {
    const roles = rolesOf({
      model_type: 'mixtral',
      num_key_value_heads: 2,
      num_local_experts: 3,
      num_experts_per_tok: 1,
    });
    const named = (role: string) => [...roles].filter(([, one]) => one.role === role).map(([name]) => name);
    expect(named('router')).toEqual(['model.layers.0.block_sparse_moe.gate.weight']);
    expect(named('head')).toEqual(['lm_head.weight']);
    expect(named('linear')).toHaveLength(4 + 3 * 3);
  });
});

test.each([[[]], [[4, 3, 2]], [[8, 3, 16, 16]]])('a tensor of shape %j is refused by name', (shape) => {
  expect(() => matrixOf('patch.weight', shape)).toThrow(
    expect.objectContaining({ code: 'E_UNSUPPORTED_SHAPE', message: expect.stringContaining('tensor patch.weight') }),
  );
});
