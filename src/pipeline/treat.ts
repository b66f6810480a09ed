// Treats a block of the checkpoint: what the operator needs to know of the block's inputs is measured, the operator is
// prepared for each input once, and every linear that the plan names becomes an edit.

import { InternalError, withResources } from '../base/index.js';
import type { TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import type { Gemm } from '../linalg/index.js';
import { blockGraph, expertOf, type Model, TOKENS_PER_EXPERT, unitOf, weightName } from '../model/index.js';
import type { Evidence, Operator, Prepared } from '../operators/index.js';
import { treatmentOf } from '../plan/index.js';
import { fillGrams, type Grams, measureGrams, type SquareSums, unseenExperts } from '../profile/index.js';
import type { Plan } from '../records/index.js';
import type { Activations, Text } from '../stream/index.js';
import type { TreatedBlock } from './block-file.js';
import { tapBlock } from './dense.js';
import { editLinear } from './edit-linear.js';

/** What a block is treated by. */
export type Treating = {
  readonly model: Model;
  readonly operator: Operator;
  /** In whole weights (plan/realise.ts). */
  readonly plan: Plan;
};

/** What was measured of a block's inputs, by input ("tap site"). */
export type BlockEvidence = {
  readonly squareSums?: SquareSums | undefined;
  readonly columnSums?: SquareSums | undefined;
  readonly grams?: Grams | undefined;
  readonly sequences: number;
  /** Of the whole text, and undefined where sums of columns are not needed. */
  readonly tokens?: number;
};

/** Measures what `operator` needs on the residual `inputs` before a block, which is `text` behind whatever blocks come first. */
export async function measureEvidence(
  engine: Engine,
  model: Model,
  { needs }: Operator,
  block: number,
  inputs: Activations | undefined,
  text: Text | undefined,
  known?: SquareSums,
): Promise<BlockEvidence> {
  const { windows = [], length = 0 } = text?.windows ?? {};
  const sequences = windows.length;
  const counted = { sequences, tokens: sequences * length };
  if (!inputs || needs.length === 0) return counted;
  const columnSums = needs.includes('columnSums') ? await tapBlock(engine, model, block, inputs, 'sums') : undefined;
  const squareSums = needs.includes('squareSums')
    ? (known ?? (await tapBlock(engine, model, block, inputs)))
    : undefined;
  if (!needs.includes('gram')) return { ...counted, squareSums, columnSums };
  const grams = await withResources(async (own) => {
    const graph = blockGraph(model, block, { length: inputs.length, outputs: 'gram' });
    return await measureGrams(engine, await own(engine.load(graph)), inputs);
  });
  return { ...counted, squareSums, columnSums, grams };
}

/** The edits of a block. `gemm` is there where the operator needs Gram matrices, which are given away. */
export async function treatBlock(
  { model, operator, plan }: Treating,
  block: number,
  evidence: BlockEvidence,
  gemm: Gemm | undefined,
): Promise<TreatedBlock> {
  const { grams, squareSums, columnSums } = evidence;
  const unseen = unseenExperts(grams ?? squareSums ?? {});
  if (grams) fillGrams(grams);
  const prepared = new Map<string, Prepared>();
  const damping: Record<string, number> = {};
  for (const site of sitesOf(model, block, grams)) {
    const ready = await operator.prepare(`block ${block}, ${site}`, evidenceAt(evidence, site), { gemm });
    prepared.set(site, ready);
    if (ready.damping !== undefined) damping[site] = ready.damping;
  }
  const edits = new Map<string, TensorEdit>();
  for (const linear of model.linears[block]!) {
    const treatment = treatmentOf(plan, unitOf(linear));
    if (treatment) edits.set(weightName(linear), editLinear(model, linear, prepared.get(linear.site)!, treatment));
  }
  return { edits, notes: { damping, unseen: columnSums || squareSums || grams ? unseen : [] } };
}

/** The inputs that a block's linears read; with Gram matrices in the order in which those were measured. */
function sitesOf(model: Model, block: number, grams: Grams | undefined): readonly string[] {
  const sites = [...new Set(model.linears[block]!.map(({ site }) => site as string))];
  if (!grams) return sites;
  const measured = Object.keys(grams).filter((site) => site !== TOKENS_PER_EXPERT);
  if (sites.every((site) => measured.includes(site))) return measured;
  throw new InternalError('E_INTERNAL_EVIDENCE', `Block ${block} has Gram matrices of ${measured}, not of ${sites}.`);
}

/** What was measured of one input. Experts that no token was given to have no sums either: their number does not matter. */
function evidenceAt({ grams, squareSums, columnSums, sequences, tokens }: BlockEvidence, site: string): Evidence {
  const expert = expertOf(site);
  const given = expert === undefined ? undefined : (grams ?? squareSums)?.[TOKENS_PER_EXPERT]?.[expert];
  return {
    squareSums: squareSums?.[site],
    columnSums: columnSums?.[site],
    gram: grams?.[site],
    sequences,
    tokens: given || tokens,
  };
}
