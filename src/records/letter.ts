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

const letterSchema = z.strictObject({
  format: z.literal('layerwise-letter'),
  version: z.literal(1),
  /** The digest of the run's description, which is in the store. */
  run: digest,
  work: z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('trial'), request: requestSchema })]),
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

const outcomeSchema = z.strictObject({
  format: z.literal('layerwise-outcome'),
  version: z.literal(1),
  run: digest,
  /** Digest of the letter's work. */
  work: digest,
  result: z.strictObject({
    request: digest,
    engine: z.string().max(100),
    losses: numbers,
    calibrationLosses: numbers.exactOptional(),
    divergences: numbers.exactOptional(),
    errors: numbers,
  }),
  /** Who did it, and in how many seconds; not compared. */
  by: z.strictObject({ worker: name, seconds: z.number().min(0) }),
});

export type Letter = Readonly<z.infer<typeof letterSchema>>;
export type SharedRun = Readonly<z.infer<typeof sharedRunSchema>>;
export type Outcome = Readonly<z.infer<typeof outcomeSchema>>;

/** Checks a letter that came from a queue. @throws OptionError E_OPTION_LETTER */
export const validateLetter = (value: unknown): Letter =>
  validateRecord(letterSchema, value, 'the queue', 'E_OPTION_LETTER', 'a letter');

/** Reads the description of a run. @throws OptionError E_OPTION_LETTER */
export const parseSharedRun = (text: string, path: string): SharedRun =>
  parseRecord(sharedRunSchema, text, path, 'E_OPTION_LETTER', 'the description of a run');

/** Reads an outcome. @throws OptionError E_OPTION_LETTER */
export const parseOutcome = (text: string, path: string): Outcome =>
  parseRecord(outcomeSchema, text, path, 'E_OPTION_LETTER', 'an outcome');
