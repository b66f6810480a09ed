// A plan: the treatment of each unit of a model. Policies, operators, trials and records exchange plans. Anyone can write one
// by hand: { "units": { "blocks.0": { "zeros": { "rate": 0.6 } }, … } }. A unit is a linear, by its name in the checkpoint, or a
// block, `blocks.<number>`, whose treatment applies to all its linears that are not named themselves. Linears that are not
// named stay unchanged; a plan of blocks alone names them all. Documents of version 1 (rates per block, or per linear) are read as version 2.

import { z } from 'zod';
import { parseRecord, validateRecord } from './parse.js';

const rate = z.number().min(0).max(1);

/** The treatment of a unit; it may have several parts. */
export const treatmentSchema = z
  .strictObject({
    /** The share of its weights that becomes zero, and where weights compete. Defaults to the run's pattern. */
    zeros: z.strictObject({ rate, pattern: z.string().optional() }).optional(),
    /** Bits per weight, and how many weights share a scale. */
    bits: z.strictObject({ bits: z.number().int().min(1).max(16), group: z.number().int().min(1) }).optional(),
    /** The number of the unit's slices (heads, channels) to keep. */
    keep: z.number().int().min(1).optional(),
    drop: z.literal(true).optional(),
  })
  .refine((treatment) => Object.keys(treatment).length > 0, { message: 'expected zeros, bits, keep or drop' });

const budgetSchema = z.strictObject({
  of: z.enum(['zeros', 'bits', 'bytes', 'nanoseconds', 'parameters', 'blocks']),
  /** The mean or sum of the treatments; absent from plans written by hand. */
  target: z.number().optional(),
  counting: z.enum(['exact', 'published']),
});

const version2 = z.strictObject({
  format: z.literal('layerwise-plan').default('layerwise-plan'),
  version: z.literal(2).default(2),
  units: z.record(z.string(), treatmentSchema),
  budget: budgetSchema.optional(),
  /** The policy that made it, and its hyperparameters. */
  from: z
    .strictObject({
      policy: z.string(),
      values: z.record(z.string(), z.number()),
      /** How the gradients were had that it allocates by, where they are not estimates. */
      gradient: z.literal('exact').optional(),
    })
    .optional(),
});

const version1 = z
  .strictObject({
    format: z.literal('layerwise-plan').default('layerwise-plan'),
    version: z.literal(1).default(1),
    target: rate.optional(),
    budget: z.enum(['exact', 'published']).optional(),
    policy: z.strictObject({ name: z.string(), hyperparameters: z.record(z.string(), z.number()) }).optional(),
    blocks: z.array(rate).min(1).optional(),
    linears: z.record(z.string(), rate).optional(),
  })
  .refine((plan) => (plan.blocks === undefined) !== (plan.linears === undefined), {
    message: 'expected exactly one of "blocks" (a rate per block) and "linears" (a rate per linear)',
  });

export type Treatment = Readonly<z.infer<typeof treatmentSchema>>;
export type Budget = Readonly<z.infer<typeof budgetSchema>>;
export type Plan = Readonly<z.infer<typeof version2>>;

/** The name of a block as a unit. */
export const blockId = (block: number): string => `blocks.${block}`;

const isVersion1 = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  const { version, units } = value as { readonly version?: unknown; readonly units?: unknown };
  return version === 1 || (units === undefined && ('blocks' in value || 'linears' in value));
};

function upgrade({ target, budget, policy, blocks, linears }: z.infer<typeof version1>): Plan {
  const rates: readonly (readonly [string, number])[] =
    blocks?.map((value, block) => [blockId(block), value] as const) ?? Object.entries(linears!);
  const counted = target !== undefined || budget !== undefined;
  return {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(rates.map(([id, value]) => [id, { zeros: { rate: value } }])),
    ...(counted
      ? { budget: { of: 'zeros', ...(target === undefined ? {} : { target }), counting: budget ?? 'exact' } }
      : {}),
    ...(policy ? { from: { policy: policy.name, values: policy.hyperparameters } } : {}),
  };
}

/** Reads both versions and returns version 2. */
export const planSchema = z.unknown().transform((value, context): Plan => {
  const old = isVersion1(value);
  const result = old ? version1.transform(upgrade).safeParse(value) : version2.safeParse(value);
  if (result.success) return result.data;
  for (const { path, message } of result.error.issues) {
    context.addIssue({ code: 'custom', path: [...path], message });
  }
  return z.NEVER;
});

/** Reads a plan document. @throws OptionError E_OPTION_PLAN with the place and what was expected. */
export function parsePlan(text: string, path: string): Plan {
  return parseRecord(planSchema, text, path, 'E_OPTION_PLAN', 'a plan');
}

/** Checks a plan that is already an object. @throws OptionError E_OPTION_PLAN with the place and what was expected. */
export function validatePlan(value: unknown, path: string): Plan {
  return validateRecord(planSchema, value, path, 'E_OPTION_PLAN', 'a plan');
}
