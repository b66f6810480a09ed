import { describe, expect, test } from 'vitest';
import { readModelConfig } from '../../src/model/index.js';

const base = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 100,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
};

describe('values that change the numbers and are not implemented are refused by name', () => {
  test.each([
    ['model_type', { model_type: 'mamba' }, 'E_UNSUPPORTED_FAMILY', /mamba.*llama, mistral, qwen2, qwen3/],
    ['hidden_act', { hidden_act: 'mish' }, 'E_UNSUPPORTED_CONFIG', /hidden_act is "mish".*silu/],
    ['rope type', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'E_UNSUPPORTED_CONFIG', /yarn/],
    ['old rope key', { rope_scaling: { type: 'dynamic', factor: 2 } }, 'E_UNSUPPORTED_CONFIG', /dynamic/],
    ['partial rotation', { partial_rotary_factor: 0.5 }, 'E_UNSUPPORTED_CONFIG', /partial_rotary_factor/],
    ['quantised', { quantization_config: { quant_method: 'gptq' } }, 'E_UNSUPPORTED_CONFIG', /quantization_config/],
    [
      'layer types',
      { layer_types: ['full_attention', 'linear_attention'] },
      'E_UNSUPPORTED_CONFIG',
      /linear_attention/,
    ],
  ])('%s', (_, change, code, message) => {
    expect(() => readModelConfig({ ...base, ...change })).toThrowError(expect.objectContaining({ code }));
    expect(() => readModelConfig({ ...base, ...change })).toThrowError(message);
  });
});

describe('malformed values are refused with the key', () => {
  test.each([
    ['hidden_size', { hidden_size: -1 }],
    ['num_hidden_layers', { num_hidden_layers: 1e9 }],
    ['num_key_value_heads', { num_key_value_heads: 3 }],
    ['hidden_size', { hidden_size: 66 }],
    ['head_dim', { head_dim: 17 }],
    ['vocab_size', { vocab_size: 'many' }],
    ['rope_theta', { rope_parameters: { rope_theta: 'ten' } }],
    ['rope_scaling.factor', { rope_scaling: { type: 'linear' } }],
  ])('%s', (key, change) => {
    expect(() => readModelConfig({ ...base, ...change })).toThrowError(
      expect.objectContaining({ code: 'E_CHECKPOINT_CONFIG', message: expect.stringContaining(key) }),
    );
  });
});

test('both ways of writing rope settings mean the same', () => {
  const old = readModelConfig({ ...base, rope_theta: 500, rope_scaling: { type: 'linear', factor: 3 } });
  const present = readModelConfig({ ...base, rope_parameters: { rope_theta: 500, rope_type: 'linear', factor: 3 } });
  expect(old).toEqual(present);
  expect(old.rope).toEqual({ theta: 500, dims: 16, scaling: { kind: 'linear', factor: 3 } });
});

describe('a sliding window holds in the blocks that have it', () => {
  const sliding = { sliding_window: 128 };
  const used = { ...sliding, use_sliding_window: true };
  const types = ['full_attention', 'sliding_attention'];
  test.each([
    ['mistral: in all', { model_type: 'mistral', ...sliding }, [128, 128]],
    ['mistral without', { model_type: 'mistral', sliding_window: null }, [undefined, undefined]],
    ['qwen2: only where it is used', { model_type: 'qwen2', ...sliding }, [undefined, undefined]],
    ['qwen2: from a block on', { model_type: 'qwen2', ...used, max_window_layers: 1 }, [undefined, 128]],
    ['qwen2: no block is so late', { model_type: 'qwen2', ...used }, [undefined, undefined]],
    ['qwen3: by name', { model_type: 'qwen3', ...used, layer_types: types }, [undefined, 128]],
  ])('%s', (_, change, windows) => {
    expect(readModelConfig({ ...base, ...change }).windows).toEqual(windows);
  });

  test('types for another number of blocks are refused', () => {
    const change = { model_type: 'qwen3', ...used, layer_types: [...types, 'full_attention'] };
    expect(() => readModelConfig({ ...base, ...change })).toThrowError(/layer_types/);
  });
});

test('a key that is not known is ignored', () => {
  expect(readModelConfig({ ...base, pretraining_note: 'x' })).toEqual(readModelConfig(base));
});
