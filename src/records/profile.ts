// Measures of a model, per block or per linear, in the order of the model's linears. A policy names the measures it needs;
// one dense pass collects those of several policies together. A profile is the document that stores them, with the scores
// for removing blocks. It stores a histogram as the counts of its bins from bin 0 on, with −k for k empty bins in a row: some
// thousands of numbers instead of 32,768.

import { z } from 'zod';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord, validateRecord } from './parse.js';

/**
 * How many scores fall into each bin: bin b holds the float32 scores whose bits, shifted right by HISTOGRAM_SHIFT, are b.
 * Scores are ≥ 0, so bins are in order and 0.8 % wide.
 */
export type Histogram = { readonly counts: Uint32Array; readonly total: number };
export const HISTOGRAM_SHIFT = 16;
/** Float32 numbers ≥ 0 have a zero sign bit. */
export const HISTOGRAM_BINS = 1 << (31 - HISTOGRAM_SHIFT);

export type Measured = {
  /** OWL: share (0 … 1) of a block's scores |W|·‖X‖ above M times their mean, by M: one number per block. */
  readonly outliers: Readonly<Record<number, readonly number[]>>;
  /** Per block, over the scores A = |W|·‖X‖ of all its linears: mean and median of A, variance of ln A over A > 0. */
  readonly scoreMoments: readonly { readonly mean: number; readonly median: number; readonly logVariance: number }[];
  /** Per linear: the distribution of |W|·‖X‖. */
  readonly scores: readonly Histogram[];
  /** Per linear: the distribution of LAMP scores w_u² / Σ_{v ≥ u} w_v². */
  readonly lamp: readonly Histogram[];
  /** AlphaPruning: Hill estimate of the power-law exponent of each linear's spectrum of WᵀW. */
  readonly alpha: readonly number[];
  /** Mean token KL(dense ‖ dense with only this linear pruned at the target), nats: one number per linear. */
  readonly sensitivity: readonly number[];
  /** LSA: Σ over calibration tokens of ‖W·x − Ŵ·x‖² without the half of each linear’s weights that matters least. */
  readonly halfError: readonly number[];
  /** ECoFLaP: ‖∂loss/∂W‖_F of each linear, estimated from forward passes or exact. */
  readonly gradient: readonly number[];
  /** ALS: normalised ‖X_iᵀX_j‖²_F between the inputs of blocks i and j, and between a block's linears' inputs. */
  readonly redundancy: {
    readonly blocks: readonly (readonly number[])[];
    readonly linears: readonly (readonly (readonly number[])[])[];
  };
};

export type MeasureName = keyof Measured;

const numbers = z.array(z.number());
const packedHistogram = z
  .array(z.number().int())
  .refine((packed) => packed.reduce((bins, value) => bins + (value < 0 ? -value : 1), 0) <= HISTOGRAM_BINS, {
    message: `expected the counts of at most ${HISTOGRAM_BINS} bins`,
  });

const documentSchema = z.object({
  format: z.literal('layerwise-profile'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), device: z.string() }),
  source: modelSchema,
  calibration: textSchema,
  seed: z.number().int(),
  /** How `gradient` was measured: `exact`. Absent: estimated, or not measured. */
  gradient: z.literal('exact').optional(),
  /** Names of each block's linears; what is measured per linear is in this order, block after block. */
  linears: z.array(z.array(z.string())),
  /** ShortGPT's Block Influence of each block, in [0, 2]: 1 − the mean cosine of its input and output over all tokens. */
  influence: numbers,
  /** angles[n − 1][l]: the angular distance of the last token across the n blocks from block l on, in halves of a turn. */
  angles: z.array(numbers),
  /**
   * How errors travel at a uniform sparsity with SparseGPT: ‖X − X̃‖_F / ‖X‖_F of each block's output, on windows that treated
   * nothing. Absent where it was not asked for.
   */
  errors: z
    .object({
      sparsity: z.number(),
      windows: z.number().int(),
      target: z.object({ alpha: z.number(), gamma: z.number() }),
      /** The block reads what the dense blocks before it made. */
      alone: numbers,
      /** It reads what the treated blocks before it made; each linear keeps its own output. */
      carried: numbers,
      /** The same, and the linears follow the dense stream. */
      corrected: numbers,
    })
    .optional(),
  /** The requested measures. */
  measures: z.object({
    outliers: z.record(z.string(), numbers).optional(),
    scoreMoments: z.array(z.object({ mean: z.number(), median: z.number(), logVariance: z.number() })).optional(),
    scores: z.array(packedHistogram).optional(),
    lamp: z.array(packedHistogram).optional(),
    alpha: numbers.optional(),
    halfError: numbers.optional(),
    gradient: numbers.optional(),
    redundancy: z.object({ blocks: z.array(numbers), linears: z.array(z.array(numbers)) }).optional(),
    // All measures but sensitivity, which depends on the target and the criterion. Add a new measure here.
  } satisfies Readonly<Record<Exclude<MeasureName, 'sensitivity'>, z.ZodType>>),
});

const profileSchema = documentSchema.superRefine((profile, context) => {
  const { blocks } = profile.source;
  const linears = profile.linears.flat().length;
  const { outliers = {}, scoreMoments, scores, lamp, alpha, halfError, gradient, redundancy } = profile.measures;
  const expectLength = (of: readonly unknown[] | undefined, length: number, each: string, ...path: string[]): void => {
    if (of === undefined || of.length === length) return;
    const message = `expected ${length} entries, one per ${each}, got ${of.length}`;
    context.addIssue({ code: 'custom', path, message });
  };
  expectLength(profile.linears, blocks, 'block', 'linears');
  expectLength(profile.influence, blocks, 'block', 'influence');
  expectLength(profile.angles, blocks, 'length of a run', 'angles');
  for (const name of ['alone', 'carried', 'corrected'] as const) {
    expectLength(profile.errors?.[name], blocks, 'block', 'errors', name);
  }
  for (const [i, angles] of profile.angles.entries()) expectLength(angles, blocks - i, 'run', 'angles', `${i}`);
  for (const [M, shares] of Object.entries(outliers)) expectLength(shares, blocks, 'block', 'measures', 'outliers', M);
  expectLength(scoreMoments, blocks, 'block', 'measures', 'scoreMoments');
  expectLength(redundancy?.blocks, blocks, 'block', 'measures', 'redundancy', 'blocks');
  expectLength(redundancy?.linears, blocks, 'block', 'measures', 'redundancy', 'linears');
  for (const [name, of] of Object.entries({ scores, lamp, alpha, halfError, gradient })) {
    expectLength(of, linears, 'linear', 'measures', name);
  }
});

export type Profile = Readonly<z.infer<typeof profileSchema>>;

/** The most characters of a profile; the distributions of many linears are long. */
export const PROFILE_CHARACTERS = 256 * 1024 * 1024;

/** Reads a profile. @throws OptionError E_OPTION_PROFILE with the place and what was expected. */
export function parseProfile(text: string, path: string): Profile {
  return parseRecord(profileSchema, text, path, 'E_OPTION_PROFILE', 'a profile', PROFILE_CHARACTERS);
}

/** Checks a profile that is already an object. @throws OptionError E_OPTION_PROFILE with the place and what was expected. */
export function validateProfile(value: unknown, path: string): Profile {
  return validateRecord(profileSchema, value, path, 'E_OPTION_PROFILE', 'a profile');
}

/** Measures in the form of a profile; without `sensitivity`, which depends on the target and the criterion. */
export function packMeasures({ sensitivity: _, scores, lamp, ...others }: Partial<Measured>): Profile['measures'] {
  const packed = {
    ...others,
    ...(scores ? { scores: scores.map(packHistogram) } : {}),
    ...(lamp ? { lamp: lamp.map(packHistogram) } : {}),
  };
  return packed as Profile['measures'];
}

/** The inverse of `packMeasures`. */
export function unpackMeasures({ scores, lamp, ...others }: Profile['measures']): Partial<Measured> {
  const measured = {
    ...others,
    ...(scores ? { scores: scores.map(unpackHistogram) } : {}),
    ...(lamp ? { lamp: lamp.map(unpackHistogram) } : {}),
  };
  return measured as Partial<Measured>;
}

function packHistogram({ counts }: Histogram): number[] {
  const packed: number[] = [];
  let empty = 0;
  for (const count of counts) {
    if (count === 0) {
      empty++;
      continue;
    }
    if (empty > 0) packed.push(-empty);
    packed.push(count);
    empty = 0;
  }
  return packed;
}

function unpackHistogram(packed: readonly number[]): Histogram {
  const counts = new Uint32Array(HISTOGRAM_BINS);
  let [bin, total] = [0, 0];
  for (const value of packed) {
    if (value < 0) bin -= value;
    else {
      counts[bin++] = value;
      total += value;
    }
  }
  return { counts, total };
}
