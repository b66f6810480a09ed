// Builds a decoder from a packed model: reads the weights into memory, places everything else behind them, and prepares
// a runner over it.

import { OptionError } from '../base/portable.js';
import { createArena } from '../kernels/portable.js';
import type { ModelConfig, TensorNames } from '../model/portable.js';
import { type PackedModel, partOffsets } from '../packed/portable.js';
import type { Decoder } from './decoder.js';
import { lowerModel } from './lower.js';
import { placeDecoder, writeTables } from './placement.js';
import type { Program } from './program.js';
import { readPackedModel } from './read-model.js';
import type { Runner } from './runner.js';
import { createDecoder } from './sequences.js';

export type SequenceOptions = {
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
/** Tokens of one pass with logits; each needs V numbers. */
const PASS_PICKS = 16;
const DEFAULT_POSITIONS = 2048;
/** The fastest of this many reads counts; single reads vary by half. */
const READS = 4;

/**
 * Reads a packed model's weights into the memory of a runner. `start` creates the runner once the model is known to be
 * valid. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY; CheckpointError, UnsupportedError
 */
export async function buildDecoder(
  packed: PackedModel,
  options: SequenceOptions,
  start: () => Runner | Promise<Runner>,
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
  const runner = await start();
  try {
    const { memory, threads } = runner;
    const arena = createArena(memory);
    const bytes = packed.weightBytes;
    const address = arena.take(bytes, 'weights');
    const places = [...packed.tensors.values()].map((entry) => {
      return { name: entry.name, layout: entry.layout, offsets: partOffsets(entry) };
    });
    const limits = { tokens: Math.min(PASS_TOKENS, Math.max(positions, sequences)), picked: PASS_PICKS };
    const placement = placeDecoder(program, arena, { address, places }, { ...limits, sequences, positions, threads });
    await packed.readWeightsInto(new Uint8Array(memory.buffer, address, bytes));
    writeTables(program, placement, memory.buffer);
    await runner.prepare(program, placement);
    return {
      ...createDecoder(program, placement, runner, { sequences, bytes }),
      measureBandwidth: async () => {
        const times: number[] = [];
        for (let i = 0; i < READS; i++) times.push(await runner.read({ address, bytes }));
        return bytes / (Math.min(...times) / 1000);
      },
    };
  } catch (error) {
    await runner.close();
    throw error;
  }
}

const lower = (packed: PackedModel, config: ModelConfig, layout: TensorNames): Program =>
  lowerModel(config, layout, (weight) => packed.tensors.get(weight)!.layout.values !== 'f32');
