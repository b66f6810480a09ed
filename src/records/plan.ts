// A plan: which share of each linear's weights goes. Anyone can write one by hand: `{ "blocks": [0.6, 0.7] }` (one rate
// per block, for all its linears) or `{ "linears": { "model.layers.0.self_attn.q_proj": 0.62 } }` (one per linear; a
// linear that is not named stays dense). Everything else says where the rates came from.

import { z } from 'zod';
import { parseRecord, validateRecord } from './parse.js';

const rate = z.number().min(0).max(1);

export const planSchema = z
  .object({
    format: z.literal('layerwise-plan').default('layerwise-plan'),
    version: z.literal(1).default(1),
    /** Target sparsity S over all prunable weights; absent where the plan was written by hand. */
    target: rate.optional(),
    budget: z.enum(['exact', 'published']).optional(),
    policy: z.object({ name: z.string(), hyperparameters: z.record(z.string(), z.number()) }).optional(),
    blocks: z.array(rate).min(1).optional(),
    linears: z.record(z.string(), rate).optional(),
  })
  .refine((plan) => (plan.blocks === undefined) !== (plan.linears === undefined), {
    message: 'expected exactly one of "blocks" (a rate per block) and "linears" (a rate per linear)',
  });

export type Plan = Readonly<z.infer<typeof planSchema>>;

/** Reads a plan document. @throws OptionError E_OPTION_PLAN with the place and what was expected. */
export function parsePlan(text: string, path: string): Plan {
  return parseRecord(planSchema, text, path, 'E_OPTION_PLAN', 'a plan');
}

/** Checks a plan that is an object already. @throws OptionError E_OPTION_PLAN with the place and what was expected. */
export function validatePlan(value: unknown, path: string): Plan {
  return validateRecord(planSchema, value, path, 'E_OPTION_PLAN', 'a plan');
}
