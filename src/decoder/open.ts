// Opens a packed model for decoding: its weights in one shared memory, a team of threads over it, and the bookkeeping of
// sequences. The calling thread only writes token numbers and copies logits.

import { createRequire } from 'node:module';
import { InternalError, OptionError, ResourceError } from '../base/index.js';
import { createArena, startTeam } from '../kernels/index.js';
import type { Layout, ModelConfig } from '../model/index.js';
import { type PackedModel, partOffsets } from '../packed/index.js';
import type { Decoder, StepPart } from './decoder.js';
import { lowerModel } from './lower.js';
import { type Pass, splitPasses } from './passes.js';
import { type Placement, placeDecoder, type Step, writeTables } from './placement.js';
import type { Program } from './program.js';
import { readPackedModel } from './read-model.js';

export type DecoderOptions = {
  readonly threads: number;
  /** Sequences that may be open at once. Defaults to 1. */
  readonly sequences?: number;
  /** Positions a sequence may have. Defaults to the model's own, at most 2,048. */
  readonly positions?: number | undefined;
};

export type OpenDecoder = Decoder & {
  /** How fast this team reads its weights when it does nothing else, in bytes a second: what decoding is measured by. */
  measureBandwidth(): Promise<number>;
};

/** Tokens of one pass: enough to read each weight seldom in a long prompt, few enough for small buffers. */
const PASS_TOKENS = 128;
/** Tokens of one pass whose logits are wanted; each takes V numbers. */
const PASS_PICKS = 16;
const DEFAULT_POSITIONS = 2048;
/** Found from src/ and from dist/, through package.json. */
const WORKER = '#decoder-worker';

/**
 * Reads a packed model's weights into memory and starts its threads. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY; CheckpointError, UnsupportedError
 */
export async function openDecoder(packed: PackedModel, options: DecoderOptions): Promise<OpenDecoder> {
  const { config, layout } = await readPackedModel(packed);
  const { threads, sequences = 1, positions = Math.min(config.maxPositions, DEFAULT_POSITIONS) } = options;
  if (positions > config.maxPositions) {
    throw new OptionError(
      'E_OPTION_POSITIONS',
      `positions: ${positions} asked for, but the model was made for ${config.maxPositions} at most.`,
      { option: 'positions', got: positions, limit: config.maxPositions },
    );
  }
  const program = lower(packed, config, layout);
  const team = startTeam(createRequire(import.meta.url).resolve(WORKER), { threads });
  try {
    const arena = createArena(team.memory);
    const address = arena.take(packed.weightBytes, 'weights');
    const places = [...packed.tensors.values()].map((entry) => {
      return { name: entry.name, layout: entry.layout, offsets: partOffsets(entry) };
    });
    const limits = { tokens: Math.min(PASS_TOKENS, Math.max(positions, sequences)), picked: PASS_PICKS };
    const placement = placeDecoder(program, arena, { address, places }, { ...limits, sequences, positions, threads });
    await packed.readWeightsInto(new Uint8Array(team.memory.buffer, address, packed.weightBytes));
    writeTables(program, placement, team.memory.buffer);
    await team.run('prepare', { program, placement });
    const decoder = createDecoder(program, placement, team, { sequences, bytes: packed.weightBytes });
    const measureBandwidth = async (): Promise<number> => {
      const request = { address, bytes: packed.weightBytes };
      return packed.weightBytes / ((await team.run<number>('read', request)) / 1000);
    };
    return { ...decoder, measureBandwidth };
  } catch (error) {
    await team.close();
    throw error;
  }
}

const lower = (packed: PackedModel, config: ModelConfig, layout: Layout): Program =>
  lowerModel(config, layout, (weight) => packed.tensors.get(weight)!.layout.values !== 'f32');

type Team = ReturnType<typeof startTeam>;

function createDecoder(
  program: Program,
  placement: Placement,
  team: Team,
  { sequences, bytes }: { readonly sequences: number; readonly bytes: number },
): Decoder {
  const { vocabulary } = program;
  /** Positions so far of each open sequence. */
  const lengths = new Map<number, number>();
  let last: Promise<unknown> = Promise.resolve();

  const lengthOf = (sequence: number): number => {
    const length = lengths.get(sequence);
    if (length === undefined) {
      throw new InternalError('E_INTERNAL_SEQUENCE', `Sequence ${sequence} is not open.`, { sequence });
    }
    return length;
  };
  const check = (parts: readonly StepPart[]): void => {
    const seen = new Set<number>();
    for (const { sequence, tokens } of parts) {
      const length = lengthOf(sequence);
      const wrong = tokens.find((token) => !(Number.isInteger(token) && token >= 0 && token < vocabulary));
      if (wrong !== undefined || seen.has(sequence) || length + tokens.length > placement.positions) {
        throw new InternalError(
          'E_INTERNAL_STEP',
          `A step must name each sequence once, with tokens below ${vocabulary} and at most ${placement.positions} positions.`,
          { sequence, wrong, length, tokens: tokens.length },
        );
      }
      seen.add(sequence);
    }
  };

  const runPass = async (pass: Pass, out: readonly Float32Array[], filled: number[]): Promise<void> => {
    const { tokens, positions, runs, picks } = pass;
    const write = (address: number, numbers: readonly number[]): void =>
      new Int32Array(team.memory.buffer, address, numbers.length).set(numbers);
    write(placement.tokenIds, tokens);
    write(placement.tokenPositions, positions);
    write(
      placement.tokenPlaces,
      positions.map((position) => position + program.positionOffset),
    );
    write(
      placement.picks,
      picks.map(({ row }) => row),
    );
    await team.run('pass', { tokens: tokens.length, runs, picked: picks.length } satisfies Step);
    const logits = new Float32Array(team.memory.buffer, placement.buffers[program.logits.buffer]!);
    for (const [i, { part }] of picks.entries()) {
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const target = out[part]!.subarray(filled[part]! * vocabulary, (filled[part]! + 1) * vocabulary);
      target.set(row);
      if (program.logitCap !== undefined) capLogits(target, program.logitCap);
      filled[part]!++;
    }
  };

  const step = async (parts: readonly StepPart[]): Promise<readonly Float32Array[]> => {
    check(parts);
    const out = parts.map(({ tokens, logits }) => {
      const wanted = logits === 'none' ? 0 : logits === 'last' ? Math.min(1, tokens.length) : tokens.length;
      return new Float32Array(wanted * vocabulary);
    });
    const filled = parts.map(() => 0);
    const passes = splitPasses(
      parts,
      parts.map(({ sequence }) => lengthOf(sequence)),
      placement,
    );
    for (const pass of passes) await runPass(pass, out, filled);
    for (const { sequence, tokens } of parts) lengths.set(sequence, lengthOf(sequence) + tokens.length);
    return out;
  };

  return {
    info: { vocabulary, maxPositions: placement.positions, sequences, bytes, threads: team.threads },
    open: () => {
      for (let sequence = 0; sequence < sequences; sequence++) {
        if (lengths.has(sequence)) continue;
        lengths.set(sequence, 0);
        return sequence;
      }
      throw new ResourceError('E_RESOURCE_SEQUENCES', `All ${sequences} sequences are open; release one first.`, {
        sequences,
      });
    },
    step: (parts) => {
      const result = last.then(() => step(parts));
      last = result.catch(() => undefined);
      return result;
    },
    truncate: (sequence, length) => void lengths.set(sequence, Math.min(length, lengthOf(sequence))),
    release: (sequence) => void lengths.delete(sequence),
    close: () => team.close(),
  };
}

/** cap · tanh(x / cap), as Gemma 2 has it. */
function capLogits(logits: Float32Array, cap: number): void {
  for (let i = 0; i < logits.length; i++) logits[i] = cap * Math.tanh(logits[i]! / cap);
}
