// What processes of one run tell each other, by a queue and a store: letters, the description of the run that they belong to, and
// the outcomes that they lead to. A letter is data alone: digests, numbers and names of ours. It names no file, address,
// module or command. Whoever can write to a queue can have trials run, and no more.

import { z } from 'zod';
import { parseRecord, validateRecord } from './parse.js';
import { planSchema } from './plan.js';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const name = z.string().regex(/^[\w.=:+-]{1,200}$/);
const share = z.number().min(0).max(1);

/** A trial (runs/trial.ts). */
const requestSchema = z.strictObject({
  model: digest,
  plan: planSchema,
  operator: name,
  calibration: digest.exactOptional(),
  validation: digest.exactOptional(),
  target: z.strictObject({ alpha: share, gamma: share }).exactOptional(),
  hessian: z.literal('loss').exactOptional(),
  prefix: z.literal('dense').exactOptional(),
  seed: z.int().min(0),
  judge: z.enum(['both', 'divergence']).exactOptional(),
  fidelity: z.enum(['exact', 'surrogate']),
  windows: z.int().min(1).exactOptional(),
  loss: z.enum(['likelihood', 'misalignment']),
});

/** What is measured of a leaf's inputs of a block (pipeline/treat.ts), or of the pair of two streams (pipeline/stream-target.ts). */
const measureSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('inputs'),
    needs: z.array(z.enum(['squareSums', 'columnSums', 'gram'])).min(1),
  }),
  z.strictObject({
    kind: z.literal('pair'),
    shares: z.strictObject({ alpha: share, gamma: share }),
    /** The runs over the pair so far, and the one that is asked for, which is the last. */
    stages: z
      .array(
        z.strictObject({
          sites: z.array(z.string().max(100)),
          /** The tensors that were treated since the run before: digests of their parts. */
          edits: z.record(z.string().max(500), z.array(digest)),
          hidden: z.literal('dense').exactOptional(),
          last: z.boolean(),
        }),
      )
      .min(1),
  }),
]);

/** Statistics of one leaf of the calibration text (stream/leaves.ts) before one block. */
const leafSchema = z.strictObject({
  model: digest,
  calibration: digest,
  /** The treated blocks before it, by the digests of their files; null for one of the checkpoint. */
  before: z.array(digest.nullable()).max(10_000),
  measure: measureSchema,
  /** How many leaves the text has. */
  leaves: z.int().min(1).max(1000),
  /** Any leaf that no other letter of the round has; or this one. */
  leaf: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('any'), letter: z.int().min(0) }),
    z.strictObject({ kind: z.literal('this'), leaf: z.int().min(0) }),
  ]),
});

const letterSchema = z.strictObject({
  format: z.literal('layerwise-letter'),
  version: z.literal(1),
  /** The digest of the run's description, which is in the store. */
  run: digest,
  work: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('trial'), request: requestSchema }),
    z.strictObject({ kind: z.literal('leaf'), request: leafSchema }),
  ]),
});

/** A file name, or a path of at most three folders inside a checkpoint. */
const file = z
  .string()
  .max(500)
  .regex(/^(?!.*(^|\/)\.\.?(\/|$))[^/\\\0]+(\/[^/\\\0]+){0,3}$/, 'expected a path inside a checkpoint');

const textSchema = z.strictObject({
  /** Digest of the text's record: what a request names. */
  record: digest,
  /** Digest of its windows as they lie in the store. */
  content: digest,
});

/** All that a worker has to know of a run. */
const sharedRunSchema = z.strictObject({
  format: z.literal('layerwise-shared-run'),
  version: z.literal(1),
  /** Versions of Layerwise may differ in the last bit. */
  tool: z.string(),
  /** What the engine makes of fixed inputs (runs/numerics.ts). */
  numerics: digest,
  checkpoint: z.strictObject({
    /** Digests of the files by their paths. */
    files: z.record(file, digest),
    /** Of the GGUF file that it was made from. */
    gguf: digest.exactOptional(),
  }),
  hessian: z.enum(['output', 'loss']),
  texts: z.strictObject({ calibration: textSchema.exactOptional(), validation: textSchema.exactOptional() }),
  /** Whether the dense pass takes statistics of the calibration text. */
  statistics: z.boolean(),
});

const numbers = z.array(z.number());

const trialResult = z.strictObject({
  request: digest,
  engine: z.string().max(100),
  losses: numbers,
  calibrationLosses: numbers.exactOptional(),
  divergences: numbers.exactOptional(),
  errors: numbers,
});

/** The sums of a leaf: names, and digests of their numbers, which are in the store. */
const leafResult = z.strictObject({
  /** Null: other letters had all leaves. */
  leaf: z.int().min(0).nullable(),
  sums: z.array(
    z.strictObject({
      name: z.string().max(200),
      type: z.enum(['f32', 'f64']),
      length: z.int().min(1),
      parts: z.array(digest).min(1),
    }),
  ),
});

const outcomeSchema = z.strictObject({
  format: z.literal('layerwise-outcome'),
  version: z.literal(1),
  run: digest,
  /** Digest of the letter's work. */
  work: digest,
  result: z.union([trialResult, leafResult]),
  /** Who did it, and in how many seconds; not compared. */
  by: z.strictObject({ worker: name, seconds: z.number().min(0) }),
});

export type Letter = Readonly<z.infer<typeof letterSchema>>;
export type SharedRun = Readonly<z.infer<typeof sharedRunSchema>>;
export type Outcome = Readonly<z.infer<typeof outcomeSchema>>;
export type TrialResult = Readonly<z.infer<typeof trialResult>>;
export type LeafRequest = Readonly<z.infer<typeof leafSchema>>;
export type LeafResult = Readonly<z.infer<typeof leafResult>>;

/** Checks a letter that came from a queue. @throws OptionError E_OPTION_LETTER */
export const validateLetter = (value: unknown): Letter =>
  validateRecord(letterSchema, value, 'the queue', 'E_OPTION_LETTER', 'a letter');

/** Reads the description of a run. @throws OptionError E_OPTION_LETTER */
export const parseSharedRun = (text: string, path: string): SharedRun =>
  parseRecord(sharedRunSchema, text, path, 'E_OPTION_LETTER', 'the description of a run');

/** Reads an outcome. @throws OptionError E_OPTION_LETTER */
export const parseOutcome = (text: string, path: string): Outcome =>
  parseRecord(outcomeSchema, text, path, 'E_OPTION_LETTER', 'an outcome');
