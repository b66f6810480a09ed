// Builds a decoder from a packed model: its config becomes a program, which a backend opens over the weights.

import { OptionError } from '../base/portable.js';
import type { ModelConfig, TensorNames } from '../model/portable.js';
import type { PackedModel } from '../packed/portable.js';
import type { DecodeBackend, Limits } from './backend.js';
import type { Decoder } from './decoder.js';
import { lowerModel } from './lower.js';
import type { Program } from './program.js';
import { readPackedModel } from './read-model.js';
import { createDecoder } from './sequences.js';
import type { Ahead } from './wasm/ahead.js';

export type SequenceOptions = {
  /**
   * Whether kernels ask for weights before they need them: what is faster depends on the processor. `measure` tries both
   * in the first passes of one to four tokens, then keeps the faster one. Results are the same. Defaults to `measure`.
   */
  readonly ahead?: Ahead | undefined;
  /** Sequences that may be open at once. Defaults to 1. */
  readonly sequences?: number;
  /** Positions a sequence may have. Defaults to the model's own, at most 2,048. */
  readonly positions?: number | undefined;
};

export type OpenDecoder = Decoder & {
  /** The speed of reading the weights and doing nothing else, in bytes per second: the upper bound of decoding speed. */
  measureBandwidth(): Promise<number>;
};

/** Tokens of one pass: enough to read each weight only a few times in a long prompt, few enough for small buffers. */
const PASS_TOKENS = 128;
/**
 * Tokens of one pass with logits: as many as this many numbers hold (16 MB), because a scored prompt is cut where they
 * end, and short passes cost it more barriers and, below 24 tokens, slower kernels. At least 16.
 */
const PASS_LOGITS = 2 ** 22;
const LEAST_PICKS = 16;
const DEFAULT_POSITIONS = 2048;

/**
 * Opens a packed model's program on a backend, once the model is known to be valid. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY; CheckpointError, UnsupportedError
 */
export async function buildDecoder(
  packed: PackedModel,
  options: SequenceOptions,
  backend: DecodeBackend,
): Promise<OpenDecoder> {
  const { config, layout } = await readPackedModel(packed);
  const { sequences = 1, positions = Math.min(config.maxPositions, DEFAULT_POSITIONS) } = options;
  if (positions > config.maxPositions) {
    throw new OptionError(
      'E_OPTION_POSITIONS',
      `positions: expected at most ${config.maxPositions}, the limit of the model, got ${positions}.`,
      { option: 'positions', got: positions, limit: config.maxPositions },
    );
  }
  const program = lower(packed, config, layout);
  const tokens = Math.min(PASS_TOKENS, Math.max(positions, sequences));
  const picked = Math.min(tokens, Math.max(LEAST_PICKS, Math.floor(PASS_LOGITS / config.vocabulary)));
  const limits: Limits = { sequences, positions, tokens, picked };
  const session = await backend.open(program, packed, limits);
  return {
    ...createDecoder(program, session, limits, packed.weightBytes),
    measureBandwidth: () => session.measureBandwidth(),
  };
}

const lower = (packed: PackedModel, config: ModelConfig, layout: TensorNames): Program =>
  lowerModel(config, layout, (weight) => packed.tensors.get(weight)!.layout.values !== 'f32');
