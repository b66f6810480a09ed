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

const gpt2 = { model_type: 'gpt2', n_embd: 64, n_layer: 2, n_head: 4, vocab_size: 100 };

describe('mixtures of experts', () => {
  const mixturesOf = (change: object) => readModelConfig({ ...base, ...change }).mixtures;

  test('mixtral has them in every block, as wide as its MLP', () => {
    const change = { model_type: 'mixtral', num_local_experts: 6, num_experts_per_tok: 3 };
    const mixture = { experts: 6, perToken: 3, width: 128, normalised: true };
    expect(mixturesOf(change)).toEqual([mixture, mixture]);
    expect(mixturesOf({ ...change, model_type: 'llama' })).toEqual([undefined, undefined]);
  });

  test.each(['num_experts', 'num_local_experts'])('qwen3_moe counts them by %s', (key) => {
    const change = { model_type: 'qwen3_moe', [key]: 10, moe_intermediate_size: 7, num_hidden_layers: 5 };
    const mixture = { experts: 10, perToken: 8, width: 7, normalised: false };
    const [none, some] = [undefined, mixture];
    expect(mixturesOf(change)).toEqual([some, some, some, some, some]);
    expect(mixturesOf({ ...change, mlp_only_layers: [0, 3] })).toEqual([none, some, some, none, some]);
    expect(mixturesOf({ ...change, decoder_sparse_step: 2, mlp_only_layers: [3] })).toEqual([
      none,
      some,
      none,
      none,
      none,
    ]);
    expect(mixturesOf({ ...change, norm_topk_prob: true })[0]).toEqual({ ...mixture, normalised: true });
  });

  test('layer_experts gives each block its own number, 0 where it has one MLP', () => {
    const mixtral = { model_type: 'mixtral', num_local_experts: 6, num_experts_per_tok: 3 };
    const mixture = { experts: 6, perToken: 3, width: 128, normalised: true };
    expect(mixturesOf({ ...mixtral, layer_experts: [6, 3] })).toEqual([mixture, { ...mixture, experts: 3 }]);
    expect(mixturesOf({ ...mixtral, layer_experts: null })).toEqual([mixture, mixture]);
    const qwen = { model_type: 'qwen3_moe', num_experts: 10, mlp_only_layers: [0], layer_experts: [0, 9] };
    expect(mixturesOf(qwen).map((one) => one?.experts)).toEqual([undefined, 9]);
    expect(() => mixturesOf({ ...qwen, layer_experts: [9, 9] })).toThrow(
      /layer_experts: expected for block 0 0.*got 9/,
    );
  });

  test.each([
    ['too few numbers', [6], /layer_experts: expected one number for each of 2 blocks, got "1 numbers"/],
    ['too many', [6, 6, 6], /layer_experts: expected one number for each of 2 blocks/],
    ['fewer than a token is given to', [6, 2], /layer_experts: expected for block 1 3 .*to 6.*, got 2/],
    ['none', [0, 6], /layer_experts: expected for block 0 3/],
    ['more than there are', [7, 6], /layer_experts: expected for block 0 3 .*to 6.*, got 7/],
    ['a fraction', [5.5, 6], /layer_experts/],
    ['below 0', [-1, 6], /layer_experts/],
    ['a huge number', [1e300, 6], /layer_experts/],
    ['no numbers', ['6', '6'], /layer_experts/],
    ['no list', 6, /layer_experts/],
    ['an object', { length: 2 }, /layer_experts/],
  ])('layer_experts is refused where it has %s', (_, layer_experts, message) => {
    const change = { model_type: 'mixtral', num_local_experts: 6, num_experts_per_tok: 3, layer_experts };
    const read = () => mixturesOf(change);
    expect(read).toThrow(message);
    expect(read).toThrow(expect.objectContaining({ code: 'E_CHECKPOINT_CONFIG' }));
  });

  test('qwen3_moe has its window in all blocks, whatever max_window_layers says', () => {
    const change = { model_type: 'qwen3_moe', sliding_window: 9, max_window_layers: 1 };
    expect(readModelConfig({ ...base, ...change, use_sliding_window: true }).windows).toEqual([9, 9]);
    expect(readModelConfig({ ...base, ...change }).windows).toEqual([undefined, undefined]);
  });

  test('no token can be given to more than there are', () => {
    const change = { model_type: 'mixtral', num_local_experts: 2, num_experts_per_tok: 3 };
    expect(() => mixturesOf(change)).toThrow(
      /num_experts_per_tok: expected at most the number of experts \(2\), got 3/,
    );
  });
});

describe('values that change the numbers and are not implemented are refused by name', () => {
  test.each([
    ['model_type', { model_type: 'mamba' }, 'E_UNSUPPORTED_FAMILY', /mamba.*llama, mistral, mixtral, qwen2, qwen3/],
    ['hidden_act', { hidden_act: 'mish' }, 'E_UNSUPPORTED_CONFIG', /hidden_act is "mish".*silu/],
    ['rope type', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'E_UNSUPPORTED_CONFIG', /yarn/],
    ['old rope key', { rope_scaling: { type: 'dynamic', factor: 2 } }, 'E_UNSUPPORTED_CONFIG', /dynamic/],
    ['partial rotation', { partial_rotary_factor: 0.5 }, 'E_UNSUPPORTED_CONFIG', /partial_rotary_factor/],
    [
      'quantised, with its method',
      { quantization_config: { quant_method: 'awq', bits: 4 } },
      'E_UNSUPPORTED_CONFIG',
      /a quantised checkpoint \(awq\) \(4 bits\).*start from the F32, F16 or BF16/,
    ],
    ['quantised by MLX', { quantization: { group_size: 64, bits: 4 } }, 'E_UNSUPPORTED_CONFIG', /quantization is/],
    ['quantised', { quantization_config: { quant_method: 'gptq' } }, 'E_UNSUPPORTED_CONFIG', /quantization_config/],
    [
      'gpt2: scaled by depth',
      { ...gpt2, scale_attn_by_inverse_layer_idx: true },
      'E_UNSUPPORTED_CONFIG',
      /inverse_layer/,
    ],
    [
      'gpt2: unscaled',
      { ...gpt2, scale_attn_weights: false },
      'E_UNSUPPORTED_CONFIG',
      /scale_attn_weights is false.*true/,
    ],
    [
      'gpt2: activation',
      { ...gpt2, activation_function: 'mish' },
      'E_UNSUPPORTED_CONFIG',
      /activation_function is "mish"/,
    ],
    [
      'gemma: both ways',
      { model_type: 'gemma2', use_bidirectional_attention: true },
      'E_UNSUPPORTED_CONFIG',
      /bidirectional/,
    ],
    [
      'gemma3: quantised as a whole',
      { model_type: 'gemma3', text_config: base, quantization_config: {} },
      'E_UNSUPPORTED_CONFIG',
      /quantization_config/,
    ],
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

const longrope = { type: 'longrope', short_factor: [], long_factor: [], original_max_position_embeddings: 16 };

describe('malformed values are refused with the key', () => {
  test.each([
    ['hidden_size', { hidden_size: -1 }],
    ['num_hidden_layers', { num_hidden_layers: 1e9 }],
    ['num_key_value_heads', { num_key_value_heads: 3 }],
    ['hidden_size', { hidden_size: 66 }],
    ['head_dim', { head_dim: 17 }],
    ['vocab_size', { vocab_size: 'many' }],
    ['rope_theta', { rope_parameters: { rope_theta: 'ten' } }],
    ['n_embd', { ...gpt2, n_embd: 0 }],
    ['n_embd', { ...gpt2, n_embd: 65, hidden_size: 66 }],
    ['intermediate_size', { intermediate_size: null }],
    ['rotary_pct', { model_type: 'gpt_neox', rotary_pct: 1.5 }],
    ['short_factor', { model_type: 'phi3', rope_scaling: { ...longrope, short_factor: [1, 2] } }],
    ['original_max', { model_type: 'phi3', rope_scaling: { ...longrope, original_max_position_embeddings: 0 } }],
    ['text_config', { model_type: 'gemma3' }],
    ['sliding_window_pattern', { model_type: 'gemma2', sliding_window_pattern: 0 }],
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

test('null means no window or cap, and where there is no key the family has its own', () => {
  const gemma = { ...base, model_type: 'gemma2' };
  expect(readModelConfig(gemma)).toMatchObject({ windows: [4096, undefined], attention: { cap: 50 }, logitCap: 30 });
  const none = { sliding_window: null, attn_logit_softcapping: null, final_logit_softcapping: null };
  const bare = readModelConfig({ ...gemma, ...none });
  expect(bare.windows).toEqual([undefined, undefined]);
  expect([bare.attention.cap, bare.logitCap]).toEqual([undefined, undefined]);
  expect(readModelConfig({ ...gemma, rms_norm_eps: null, tie_word_embeddings: null })).toMatchObject({
    normEps: 1e-6,
    tied: true,
  });
});

test('a key that is not known is ignored', () => {
  expect(readModelConfig({ ...base, pretraining_note: 'x' })).toEqual(readModelConfig(base));
});
