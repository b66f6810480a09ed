// layerwise.json: what a run did, beside the checkpoint it wrote. It holds nothing that depends on when or how fast
// the run went, so equal inputs give equal bytes; times are printed, not written.

import { z } from 'zod';
import { evaluationSchema, sharesSchema, trialSchema } from './evaluation.js';
import { fidelitySchema } from './fidelity.js';
import { gainsSchema } from './gains.js';
import { parseRecord } from './parse.js';
import { planSchema } from './plan.js';
import { taskScoresSchema, taskSetupSchema } from './tasks.js';

/** The checkpoint's folder, or its name and commit on the Hub; the SHA-256 of each of its files that matter. */
export const modelSchema = z.object({
  name: z.string(),
  commit: z.string().optional(),
  family: z.string(),
  blocks: z.number().int(),
  hashes: z.record(z.string(), z.string()),
});

/** What was done to images, so that the same pixels can be made again. */
const imagesSchema = z.object({
  set: z.object({ hash: z.string(), layout: z.string(), items: z.number().int() }),
  height: z.number().int(),
  width: z.number().int(),
  balanced: z.boolean(),
  orientation: z.string(),
  decoders: z.record(z.string(), z.string()),
  resampler: z.string(),
  preprocessing: z.record(z.string(), z.unknown()),
  /** How many classes came, and how many images of the rarest and the most frequent of them. */
  labels: z.object({ classes: z.number().int(), fewest: z.number().int(), most: z.number().int() }).nullable(),
  /** Of classes that are read as texts: how many names and templates, and the SHA-256 of both. */
  zeroShot: z.object({ hash: z.string(), names: z.number().int(), templates: z.number().int() }).optional(),
});

const dialogueSchema = z.object({
  /** Where the text around a question comes from. */
  format: z.enum(['chat template', 'llava-1.5']),
  /** Tokens of answers, which are what is scored. */
  answers: z.number().int(),
  images: z.number().int(),
  /** Squares that the images became, where some are cut into tiles. */
  squares: z.number().int().optional(),
  /** The share of tokens that are rows of images: statistics of a language model are mostly of those. */
  imageShare: z.number(),
  /** Questions that follow others in a conversation; they are left out. */
  followUps: z.number().int(),
  /** Null where no question has an image. */
  pixels: imagesSchema.nullable(),
});

export const textSchema = z.object({
  /** File name, SHA-256 of its bytes, tokens in it. */
  name: z.string(),
  hash: z.string(),
  tokens: z.number().int(),
  /** Windows used and their length in tokens. */
  windows: z.number().int(),
  length: z.number().int(),
  order: z.enum(['all', 'random', 'sequential']),
  /**
   * The token that every window begins with, before length − 1 tokens of the text; null where windows are contiguous pieces of
   * the text.
   */
  bos: z.number().int().nullable().default(null),
  /**
   * Of a set of images: the hash is of the pixels that the model gets, a window is an image and a token a row of its residual before
   * block 0.
   */
  images: imagesSchema.optional(),
  /**
   * Of questions about images: the hash is of the pixels and the tokens, a window is a question with its answer, and tokens are those of
   * all of them without padding, an image's rows among them.
   */
  dialogue: dialogueSchema.optional(),
  /**
   * Of captions, on which a text trunk is measured: the hash is of the pixels and the tokens, a window is a caption with its padding, and
   * what it is scored by is its image among these.
   */
  captions: z.object({ images: z.number().int(), pixels: imagesSchema }).optional(),
});

/** One line of the result table. `test` is null without test text. */
const rowSchema = z.object({
  validation: evaluationSchema.nullable(),
  test: evaluationSchema.nullable(),
  /** Absent without tasks. */
  tasks: taskScoresSchema.optional(),
  /** How far it is from the dense model on the test text, else on the validation text; absent in older records. */
  fidelity: fidelitySchema.optional(),
  /** Relative reconstruction error of each block's output; empty for the dense model. */
  errors: z.array(z.number()),
  /** Of the chosen model: the error that each block makes on the dense output of the block before it. Absent in older records. */
  alone: z.array(z.number()).optional(),
  /** Where it follows the dense stream: `errors` of a run in which every linear keeps its own output. */
  own: z.object({ errors: z.array(z.number()), samePlan: z.boolean() }).optional(),
});

const imageFactsSchema = z.object({
  classes: z.array(z.string()),
  labels: z.object({ validation: z.array(z.number().int()).optional(), test: z.array(z.number().int()).optional() }),
  /** Those that the dense model gets right and the chosen one wrong, by how much more they cost, in nats. */
  lost: z.array(z.object({ place: z.number().int(), name: z.string(), label: z.number().int(), cost: z.number() })),
});

const manifestSchema = z.object({
  format: z.literal('layerwise-run'),
  version: z.literal(1),
  tool: z.object({ version: z.string(), node: z.string(), engine: z.string(), device: z.string() }),
  /** The command that repeats the run, without machine-dependent options. */
  command: z.string(),
  source: z.object({
    /** The folder's name, or the name on the Hub and the commit. */
    name: z.string(),
    commit: z.string().optional(),
    family: z.string(),
    /** Of a checkpoint with several trunks: the one that the run is about. The others are in the output as they were. */
    trunk: z.enum(['vision', 'text', 'language']).optional(),
    blocks: z.number().int(),
    /** Blocks behind them that nothing reads. They are outside the budget, and stay as they are. */
    dead: z.number().int().optional(),
    dtype: z.string(),
    /** All parameters (tied ones once), and those of the prunable linears. */
    parameters: z.number().int(),
    prunable: z.number().int(),
    /** Bytes of the weight files. */
    bytes: z.number().int(),
    hashes: z.record(z.string(), z.string()),
  }),
  /**
   * Of a run over both trunks: what was done to each, in order, and the file with the record of it. This record is that of the last, whose
   * dense model is the checkpoint that those before it made.
   */
  towers: z
    .array(
      z.object({ trunk: z.enum(['vision', 'language']), target: z.number(), realised: z.number(), record: z.string() }),
    )
    .optional(),
  /** Of trunks that keep one budget together: the sparsity of all. Absent where each keeps its own. */
  joint: z.object({ target: z.number(), realised: z.number() }).optional(),
  texts: z.object({
    calibration: textSchema.nullable(),
    validation: textSchema.nullable(),
    test: textSchema.nullable(),
  }),
  /** The zero-shot tasks; absent without tasks. */
  tasks: taskSetupSchema.optional(),
  seed: z.number().int(),
  criterion: z.string(),
  /** Where weights competed; absent if the plan has no zeros. */
  pattern: z.string().optional(),
  /** How far the chosen model's linears follow the dense stream; absent where each keeps its own output. */
  target: sharesSchema.optional(),
  /** Share of the mean diagonal added to each Gram matrix, by block and tap site; only with a solver. */
  damping: z.array(z.record(z.string(), z.number())).optional(),
  /** Experts without calibration tokens, by block; only if there are experts and the criterion measures inputs. */
  unseenExperts: z.array(z.array(z.number().int())).optional(),
  /** How the gradients were had that the policy allocates by: `exact`. Absent: estimated, or none were needed. */
  gradient: z.literal('exact').optional(),
  /** `loss`: in Gram matrices a token counts by the loss's gradient. Absent: all tokens alike. */
  hessian: z.literal('loss').optional(),
  /** `dense`: calibration statistics were taken behind the dense blocks. Absent: behind the treated ones. */
  calibrationPrefix: z.literal('dense').optional(),
  plan: planSchema,
  /** Blocks of the source that the written checkpoint does not have; absent where it has all. */
  dropped: z.array(z.number().int()).optional(),
  sparsity: z.object({
    target: z.number(),
    /** Zeros counted from the files written, over all prunable weights. */
    realised: z.number(),
    blocks: z.array(z.number()),
    linears: z.record(z.string(), z.object({ weights: z.number().int(), zeros: z.number().int() })),
  }),
  /**
   * Of a quantised model: bits per prunable weight of the source with the scales (none for a block left out), in all and by block, counted from the files written;
   * bits of the integers and columns that share a scale, by linear (the dtype's bits and 0 where it is not quantised).
   */
  bits: z
    .object({
      stored: z.number(),
      blocks: z.array(z.number()),
      linears: z.record(z.string(), z.object({ weights: z.number().int(), bits: z.number(), group: z.number().int() })),
    })
    .optional(),
  dense: rowSchema,
  uniform: rowSchema.nullable(),
  chosen: rowSchema,
  /** `divergence`: candidates were judged by KL to the dense model on the validation windows. Absent: by perplexity. */
  judge: z.literal('divergence').optional(),
  /** The trials of the search, in order; empty without a search. */
  /** Of a model that reads images: its classes, the label of every image in order, and images that it no longer gets right. */
  images: imageFactsSchema.optional(),
  trials: z.array(trialSchema),
  /** What the plan gains over uniform on validation and on calibration text; absent without both, and for uniform. */
  gains: gainsSchema.optional(),
  /**
   * How the choice was made, in a sentence or two; what it cost, in trials besides uniform (the published grid makes
   * nine); whether it is distinguishable from uniform.
   */
  search: z
    .object({
      method: z.string(),
      equivalents: z.number(),
      /** All values that were tried, for a policy that chooses by the misalignment of activations. */
      misalignments: z
        .array(z.object({ hyperparameters: z.record(z.string(), z.number()), misalignment: z.number() }))
        .optional(),
      verdict: z.enum(['better', 'tie', 'worse']),
    })
    .nullable(),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;
export type ManifestText = Readonly<z.infer<typeof textSchema>>;
export type ResultRow = Readonly<z.infer<typeof rowSchema>>;

/** Reads a layerwise.json. @throws OptionError E_OPTION_MANIFEST with the place and what was expected. */
export function parseManifest(text: string, path: string): Manifest {
  return parseRecord(manifestSchema, text, path, 'E_OPTION_MANIFEST', 'a layerwise.json');
}
