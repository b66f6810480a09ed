// Treats a block of the checkpoint. Measures the inputs of the block as the operator needs, prepares the operator once for
// each input, and makes an edit of every linear that the plan treats.

import { InternalError, withResources } from '../base/index.js';
import type { TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import type { Gemm } from '../linalg/index.js';
import { blockGraph, expertOf, type Model, TOKENS_PER_EXPERT, unitOf, weightName } from '../model/index.js';
import type { Evidence, Operator, Prepared } from '../operators/index.js';
import { treatmentOf } from '../plan/index.js';
import { fillGrams, type Grams, measureGrams, type SquareSums, unseenExperts } from '../profile/index.js';
import type { Plan } from '../records/index.js';
import { type Activations, countOf, rowsOf, type Samples, tapFeeds, weightsOf } from '../stream/index.js';
import type { GridToWrite, TreatedBlock } from './block-file.js';
import { tapBlock } from './dense.js';
import { editLinear } from './edit-linear.js';

/** How blocks are treated. */
export type Treating = {
  readonly model: Model;
  readonly operator: Operator;
  /** In whole weights (plan/realise.ts). */
  readonly plan: Plan;
};

/** Measures of a block's inputs, by input ("tap site"). */
export type BlockEvidence = {
  readonly squareSums?: SquareSums | undefined;
  readonly columnSums?: SquareSums | undefined;
  readonly grams?: Grams | undefined;
  readonly sequences: number;
  /** Number of tokens in the whole text. */
  readonly tokens?: number;
};

/** Measures what `operator` needs on `inputs`, the residual of `text` before a block; its tokens count as the text says. */
export async function measureEvidence(
  engine: Engine,
  model: Model,
  { needs }: Pick<Operator, 'needs'>,
  block: number,
  inputs: Activations | undefined,
  text: Samples | undefined,
  known?: SquareSums,
): Promise<BlockEvidence> {
  const importance = text && weightsOf(text);
  const sequences = text ? countOf(text.content) : 0;
  const counted = { sequences, tokens: text ? rowsOf(model, text.content, inputs?.length ?? 0) : 0 };
  if (!inputs || needs.length === 0) return counted;
  const columnSums = needs.includes('columnSums')
    ? await tapBlock(engine, model, block, inputs, 'sums', undefined, importance)
    : undefined;
  const squareSums = needs.includes('squareSums')
    ? (known ?? (await tapBlock(engine, model, block, inputs, 'taps', undefined, importance)))
    : undefined;
  if (!needs.includes('gram')) return { ...counted, squareSums, columnSums };
  const grams = await withResources(async (own) => {
    const weighted = importance !== undefined;
    const graph = blockGraph(model, block, { length: inputs.length, outputs: 'gram', weighted });
    const feeds = tapFeeds(inputs, block, importance);
    return await measureGrams(engine, await own(engine.load(graph)), inputs, feeds);
  });
  return { ...counted, squareSums, columnSums, grams };
}

/** Prepares the operator for every input of a block. It overwrites `evidence.grams`. */
export async function prepareSites(
  model: Model,
  operator: Operator,
  block: number,
  evidence: BlockEvidence,
  gemm: Gemm | undefined,
): Promise<ReadonlyMap<string, Prepared>> {
  const { grams } = evidence;
  if (grams) fillGrams(grams);
  const prepared = new Map<string, Prepared>();
  for (const site of sitesOf(model, block, grams)) {
    prepared.set(site, await operator.prepare(`block ${block}, ${site}`, evidenceAt(evidence, site), { gemm }));
  }
  return prepared;
}

/** The edits of a block. An operator that needs Gram matrices needs `gemm` too; it overwrites `evidence.grams`. */
export async function treatBlock(
  { model, operator, plan }: Treating,
  block: number,
  evidence: BlockEvidence,
  gemm: Gemm | undefined,
): Promise<TreatedBlock> {
  const { grams, squareSums, columnSums } = evidence;
  const unseen = unseenExperts(grams ?? squareSums ?? {});
  const prepared = await prepareSites(model, operator, block, evidence, gemm);
  const damping: Record<string, number> = {};
  for (const [site, ready] of prepared) if (ready.damping !== undefined) damping[site] = ready.damping;
  const edits = new Map<string, TensorEdit>();
  const grids: GridToWrite[] = [];
  for (const linear of model.linears[block]!) {
    const treatment = treatmentOf(plan, unitOf(linear));
    if (!treatment) continue;
    const { weights, grid, bias } = editLinear(model, linear, prepared.get(linear.site)!, treatment);
    edits.set(weightName(linear), weights);
    if (bias) edits.set(bias.name, bias);
    if (grid) grids.push(grid);
  }
  return { edits, grids, notes: { damping, unseen: columnSums || squareSums || grams ? unseen : [] } };
}

/** The inputs of a block's linears; with Gram matrices, in the order of their measurement. */
function sitesOf(model: Model, block: number, grams: Grams | undefined): readonly string[] {
  const sites = [...new Set(model.linears[block]!.map(({ site }) => site as string))];
  if (!grams) return sites;
  const measured = Object.keys(grams).filter((site) => site !== TOKENS_PER_EXPERT);
  if (sites.every((site) => measured.includes(site))) return measured;
  throw new InternalError('E_INTERNAL_EVIDENCE', `Block ${block} has Gram matrices of ${measured}, not of ${sites}.`);
}

/** The measures of one input. An expert without tokens has substitute sums, so its number of tokens does not matter. */
export function evidenceAt(
  { grams, squareSums, columnSums, sequences, tokens }: BlockEvidence,
  site: string,
): Evidence {
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
