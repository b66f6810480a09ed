// frontier.json: one model in many forms, each scored on the same windows against the dense model, and which of them are on
// the fronts of bytes × KL and tokens a second × KL. Speeds are the one thing in a record that depends on the machine and
// the hour: they are what this record is about, and each turn is kept.

import { z } from 'zod';
import { evaluationSchema } from './evaluation.js';
import { fidelitySchema, readFidelity } from './fidelity.js';
import { findFront } from './front.js';
import { pairedInterval } from './interval.js';
import { modelSchema, textSchema } from './manifest.js';
import { parseRecord } from './parse.js';

/** What contenders have in common, in the order of the legend. */
export const CONTENDER_KINDS = ['dense', 'plain', 'gptq', 'stream', 'mixed', 'sparse', 'gguf'] as const;
export type ContenderKind = (typeof CONTENDER_KINDS)[number];

const formSchema = z.object({
  file: z.enum(['lw', 'gguf']),
  bytes: z.number().int().positive(),
  /** Bits of all weights of the blocks' linears, scales and zeros included. */
  bitsPerWeight: z.number().positive(),
  evaluation: evaluationSchema,
  /** Paired 95 % interval of the perplexity ratio to the dense checkpoint. */
  ratio: z.tuple([z.number(), z.number()]),
  fidelity: fidelitySchema,
  /** α and γ of a stream target, widths and the like, in words; empty where there was nothing to choose. */
  chosen: z.string(),
  /** Tokens a second of one sequence: the median of the turns, and the turns; null for a file that we do not run. */
  speed: z.object({ tokensPerSecond: z.number().positive(), turns: z.array(z.number().positive()) }).nullable(),
  /** Whether it is on the front; null where it has no speed. */
  fronts: z.object({ bytes: z.boolean(), speed: z.boolean().nullable() }),
});
export type FrontierForm = Readonly<z.infer<typeof formSchema>>;

const contenderSchema = z.object({
  name: z.string(),
  kind: z.enum(CONTENDER_KINDS),
  /** What it is, in words. */
  what: z.string(),
  /** Why it was not made; null where it was. */
  skipped: z.string().nullable(),
  /** null where it was skipped. */
  form: formSchema.nullable(),
});
export type FrontierContender = Readonly<z.infer<typeof contenderSchema>>;

const frontierSchema = z
  .object({
    format: z.literal('layerwise-frontier'),
    version: z.literal(1),
    tool: z.object({ version: z.string(), device: z.string() }),
    source: modelSchema,
    texts: z.object({ calibration: textSchema.nullable(), validation: textSchema.nullable(), test: textSchema }),
    seed: z.number().int(),
    /** The checkpoint itself, run by the engine. */
    dense: evaluationSchema,
    /** How speeds were measured; null where nothing was run. */
    speeds: z.object({ threads: z.number().int(), tokens: z.number().int(), turns: z.number().int() }).nullable(),
    contenders: z.array(contenderSchema).min(1),
  })
  .superRefine(({ contenders }, context) => {
    for (const [i, { skipped, form }] of contenders.entries()) {
      if ((skipped === null) !== (form === null)) continue;
      const message = 'expected either a form or the reason why it was skipped';
      context.addIssue({ code: 'custom', path: ['contenders', i, 'form'], message });
    }
  });
export type Frontier = Readonly<z.infer<typeof frontierSchema>>;

/** Reads a record. @throws OptionError E_OPTION_FRONTIER with the place and what was expected. */
export function parseFrontier(text: string, path: string): Frontier {
  return parseRecord(frontierSchema, text, path, 'E_OPTION_FRONTIER', 'the record of a frontier');
}

type Scored = Omit<FrontierForm, 'fronts' | 'ratio'>;

/** Completes forms with what compares them: the ratio to the dense checkpoint, and the fronts. */
export function standForms<F extends Scored>(
  forms: readonly F[],
  dense: readonly number[],
): (F & Pick<FrontierForm, 'fronts' | 'ratio'>)[] {
  const bytes = findFront(forms.map(({ bytes, fidelity }) => ({ cost: bytes, loss: fidelity.divergence })));
  const run = forms.filter(({ speed }) => speed);
  const quick = findFront(
    run.map(({ speed, fidelity }) => ({ cost: 1 / speed!.tokensPerSecond, loss: fidelity.divergence })),
  );
  return forms.map((form, i) => ({
    ...form,
    ratio: pairedInterval(form.evaluation.nll, dense),
    fronts: { bytes: bytes[i]!, speed: form.speed ? quick[run.indexOf(form)]! : null },
  }));
}

/** A contender's numbers, as a table has them. */
export type ContenderNumbers = {
  readonly name: string;
  readonly skipped: string | null;
  readonly form:
    | (Pick<FrontierForm, 'bytes' | 'bitsPerWeight' | 'ratio' | 'fronts'> & {
        readonly perplexity: number;
        readonly divergence: number;
        readonly divergenceInterval: readonly [number, number];
        readonly tail: number;
        readonly agreement: number;
        /** Mean tokens before the first difference, of how many; null where no greedy text was compared. */
        readonly same: readonly [number, number] | null;
        readonly tokensPerSecond: number | null;
      })
    | null;
};

export function readContender({ name, skipped, form }: FrontierContender): ContenderNumbers {
  if (!form) return { name, skipped, form };
  const { bytes, bitsPerWeight, ratio, fronts, evaluation, fidelity, speed } = form;
  const { divergence, tail, agreement, same } = readFidelity(fidelity);
  return {
    name,
    skipped,
    form: {
      ...{ bytes, bitsPerWeight, ratio, fronts, tail },
      perplexity: evaluation.perplexity,
      divergence: divergence.mean,
      divergenceInterval: divergence.interval,
      agreement: agreement.mean,
      same: same === null ? null : [same, fidelity.greedy!.tokens],
      tokensPerSecond: speed?.tokensPerSecond ?? null,
    },
  };
}
