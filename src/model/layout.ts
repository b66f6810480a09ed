// Where a checkpoint keeps the tensors of each block: names, shapes, and the check that all of them are there. One
// layout serves all present families; names are those of the checkpoint.

import { CheckpointError } from '../base/index.js';
import type { Checkpoint, TensorInfo } from '../checkpoint/index.js';
import type { InitializerSource } from '../graph/index.js';
import type { DType } from '../tensor/index.js';
import type { ModelConfig } from './config.js';

export const LINEAR_KINDS = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const;
export type LinearKind = (typeof LINEAR_KINDS)[number];

/** A prunable linear: its module's name as in the checkpoint (without `.weight`), and W [rows = out, columns = in]. */
export type Linear = {
  readonly name: string;
  readonly kind: LinearKind;
  readonly block: number;
  readonly rows: number;
  readonly columns: number;
};

/** A tensor that a graph can point at. */
export type TensorSource = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly source: InitializerSource;
};

export type BlockTensors = {
  readonly attentionNorm: TensorSource;
  readonly mlpNorm: TensorSource;
  readonly qNorm: TensorSource | undefined;
  readonly kNorm: TensorSource | undefined;
  readonly linears: Readonly<
    Record<LinearKind, { readonly weight: TensorSource; readonly bias: TensorSource | undefined }>
  >;
};

const MODULE: Readonly<Record<LinearKind, string>> = {
  q: 'self_attn.q_proj',
  k: 'self_attn.k_proj',
  v: 'self_attn.v_proj',
  o: 'self_attn.o_proj',
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
  down: 'mlp.down_proj',
};

const prefix = (block: number): string => `model.layers.${block}.`;
export const EMBEDDING = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const headName = (config: ModelConfig): string => (config.tied ? EMBEDDING : 'lm_head.weight');

/** The prunable linears of a block, in the checkpoint's usual order. */
export function linearsOf(config: ModelConfig, block: number): readonly Linear[] {
  const { hidden: D, intermediate: F } = config;
  const attention = config.heads * config.headDim;
  const keyValue = config.kvHeads * config.headDim;
  const shapes: Record<LinearKind, readonly [rows: number, columns: number]> = {
    q: [attention, D],
    k: [keyValue, D],
    v: [keyValue, D],
    o: [D, attention],
    gate: [F, D],
    up: [F, D],
    down: [D, F],
  };
  return LINEAR_KINDS.map((kind) => {
    const [rows, columns] = shapes[kind];
    return { name: prefix(block) + MODULE[kind], kind, block, rows, columns };
  });
}

/** Names and shapes of all tensors of a block. */
export function blockTensorShapes(config: ModelConfig, block: number): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const add = (name: string, shape: readonly number[]) => shapes.set(prefix(block) + name, shape);
  add('input_layernorm.weight', [config.hidden]);
  add('post_attention_layernorm.weight', [config.hidden]);
  if (config.qkNorm) {
    add('self_attn.q_norm.weight', [config.headDim]);
    add('self_attn.k_norm.weight', [config.headDim]);
  }
  for (const linear of linearsOf(config, block)) {
    shapes.set(`${linear.name}.weight`, [linear.rows, linear.columns]);
    if (hasBias(config, linear.kind)) shapes.set(`${linear.name}.bias`, [linear.rows]);
  }
  return shapes;
}

const hasBias = (config: ModelConfig, kind: LinearKind): boolean =>
  kind === 'o' ? config.bias.o : kind === 'q' || kind === 'k' || kind === 'v' ? config.bias.qkv : config.bias.mlp;

/** Gathers a block's tensors from wherever they lie. */
export function blockTensors(config: ModelConfig, block: number, find: (name: string) => TensorSource): BlockTensors {
  const at = (name: string): TensorSource => find(prefix(block) + name);
  const linear = (kind: LinearKind) => ({
    weight: at(`${MODULE[kind]}.weight`),
    bias: hasBias(config, kind) ? at(`${MODULE[kind]}.bias`) : undefined,
  });
  return {
    attentionNorm: at('input_layernorm.weight'),
    mlpNorm: at('post_attention_layernorm.weight'),
    qNorm: config.qkNorm ? at('self_attn.q_norm.weight') : undefined,
    kNorm: config.qkNorm ? at('self_attn.k_norm.weight') : undefined,
    linears: {
      q: linear('q'),
      k: linear('k'),
      v: linear('v'),
      o: linear('o'),
      gate: linear('gate'),
      up: linear('up'),
      down: linear('down'),
    },
  };
}

/** A tensor of a safetensors file as a graph's initialiser, in place. */
export function inPlace(info: TensorInfo): TensorSource {
  const { name, dtype, shape, file, offset, length } = info;
  return { name, dtype, shape, source: { kind: 'file', file, offset, length } };
}

const COMPUTABLE: readonly DType[] = ['F32', 'F16', 'BF16'];

/**
 * Checks that every tensor the model needs is there, with its shape and a dtype we compute with, and that no block has
 * a weight or bias that the model would not use.
 * @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_SHAPE, E_CHECKPOINT_DTYPE, E_CHECKPOINT_UNEXPECTED
 */
export function checkTensors(config: ModelConfig, checkpoint: Checkpoint): void {
  const expected = new Map<string, readonly number[]>([
    [EMBEDDING, [config.vocabulary, config.hidden]],
    [FINAL_NORM, [config.hidden]],
    [headName(config), [config.vocabulary, config.hidden]],
  ]);
  for (let block = 0; block < config.blocks; block++) {
    for (const [name, shape] of blockTensorShapes(config, block)) expected.set(name, shape);
  }
  for (const [name, shape] of expected) {
    const info = checkpoint.tensors.get(name);
    if (!info) {
      throw new CheckpointError(
        'E_CHECKPOINT_MISSING',
        `${checkpoint.dir}: tensor ${name} is missing; config.json (${config.family}, ${config.blocks} blocks) asks for it.`,
        { tensor: name },
      );
    }
    if (info.shape.join() !== shape.join()) {
      throw new CheckpointError(
        'E_CHECKPOINT_SHAPE',
        `${checkpoint.dir}: tensor ${name} has shape [${info.shape}]; config.json asks for [${shape}].`,
        { tensor: name, expected: shape, got: info.shape },
      );
    }
    if (!COMPUTABLE.includes(info.dtype)) {
      throw new CheckpointError(
        'E_CHECKPOINT_DTYPE',
        `${checkpoint.dir}: tensor ${name} has dtype ${info.dtype}; expected one of ${COMPUTABLE.join(', ')}. Start from an unquantised checkpoint.`,
        { tensor: name, got: info.dtype },
      );
    }
  }
  for (const name of checkpoint.tensors.keys()) {
    if (!name.startsWith('model.layers.') || expected.has(name) || name.endsWith('.rotary_emb.inv_freq')) continue;
    throw new CheckpointError(
      'E_CHECKPOINT_UNEXPECTED',
      `${checkpoint.dir}: tensor ${name} is not part of a ${config.family} block as config.json describes it, so the model would compute something else. Check config.json.`,
      { tensor: name },
    );
  }
}
