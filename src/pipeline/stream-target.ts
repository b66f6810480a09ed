// Treats a block so that it follows the dense stream. Two streams of the same tokens run beside each other: x through the
// checkpoint's blocks, x̃ through the treated ones. With X and X̃ the inputs of a linear in the two, and r the dense residual
// minus the treated one just before the linear's output is added to it, an operator treats W as if it were
//   W* = W + [α·W(X − X̃)X̃ᵀ + γ·r·X̃ᵀ]·(X̃X̃ᵀ + λI)⁻¹        γ for the linears that write into the residual, o and down
// so o and down take back what earlier blocks lost (QEP, NeurIPS 2025; GPTAQ, ICML 2025; the term r is ours: docs/lab/theory.md).
// The sites of a block are treated one after another: each sees what was treated before it.

import { type Own, withResources } from '../base/index.js';
import type { TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { diagonalOf, type Gemm } from '../linalg/index.js';
import {
  crossOf,
  expertOf,
  heldValues,
  type Linear,
  type Model,
  PAIR_INPUTS,
  pairGraph,
  pullOf,
  sumsOf,
  type TapSite,
  TOKENS_PER_EXPERT,
  unitOf,
} from '../model/index.js';
import type { Evidence, Matrix, Prepared } from '../operators/index.js';
import { treatmentOf } from '../plan/index.js';
import { fillGrams, type Grams, sumOverChunks, unseenExperts } from '../profile/index.js';
import {
  type Activations,
  countOf,
  createActivations,
  type Feed,
  type Importance,
  rootFeeds,
  rowsOf,
  runChunks,
  type Samples,
  weightsOf,
} from '../stream/index.js';
import type { GridToWrite, TreatedBlock } from './block-file.js';
import { computed, editLinear } from './edit-linear.js';
import type { Treating } from './treat.js';

/** How far treated linears follow the dense stream; docs/lab/theory.md has what was measured. */
export type StreamTarget = {
  /** The share of the input's error, W(X − X̃), that a linear takes over; 0 to 1. */
  readonly alpha: number;
  /** The share of the residual's error that the linears that write into it take back; 0 to 1. */
  readonly gamma: number;
};

/** The two numbers of a target, for records. */
export const sharesOf = ({ alpha, gamma }: StreamTarget): Pick<StreamTarget, 'alpha' | 'gamma'> => ({ alpha, gamma });

type Sink = Pick<Activations, 'write'>;

export type Streams = {
  /** The residual before the block: treated, and dense. They may be one store. */
  readonly treated: Activations;
  readonly dense: Activations;
  /** Receive the residuals after the block; each may be the store that is read. */
  readonly next?: { readonly treated: Sink; readonly dense: Sink } | undefined;
};

/** Treats a block by two streams, and moves both behind it if there is a next block. */
export async function treatToStream(
  treating: Treating,
  target: StreamTarget,
  block: number,
  engine: Engine,
  streams: Streams,
  text: Samples,
  gemm: Gemm,
): Promise<TreatedBlock> {
  const { model } = treating;
  return await withResources(async (own) => {
    const run = await createPairRun(own, engine, model, block, target, streams, weightsOf(text));
    const counted = { sequences: countOf(text.content), tokens: rowsOf(model, text.content, text.embedded.length) };
    return await treatByPairs(treating, target, block, run, { ...counted, moves: streams.next !== undefined }, gemm);
  });
}

/** Treats a block by what `run` sums of two streams. `moves`: the runs also move them behind it. */
export async function treatByPairs(
  { model, operator, plan }: Treating,
  target: StreamTarget,
  block: number,
  run: PairRun,
  { sequences, tokens, moves }: { readonly sequences: number; readonly tokens: number; readonly moves: boolean },
  gemm: Gemm,
): Promise<TreatedBlock> {
  const linears = model.linears[block]!;
  const edits = new Map<string, TensorEdit>();
  const grids: GridToWrite[] = [];
  const edited = new Map<string, Uint8Array>();
  const damping: Record<string, number> = {};
  let unseen: readonly number[] = [];
  // The inputs of linears that are left as they are need no measure where few are treated.
  const few = operator.makes.includes('keep');
  const stages = stagesOf(few ? linears.filter((linear) => treatmentOf(plan, unitOf(linear))) : linears);
  if (moves && stages.length === 0) await run(edited, [], { hidden: 'dense', last: false });
  for (const [index, sites] of stages.entries()) {
    const last = index === stages.length - 1;
    const sums = await run(edited, sites, {
      hidden: moves && last ? 'dense' : undefined,
      last: last && !moves,
    });
    const tokensPerExpert = sums[TOKENS_PER_EXPERT];
    if (tokensPerExpert) {
      const ofExperts = sites.filter((site) => expertOf(site) !== undefined);
      const grams = Object.fromEntries([TOKENS_PER_EXPERT, ...ofExperts].map((site) => [site, sums[site]!]));
      unseen = unseenExperts(grams);
      fillGrams(grams);
    }
    for (const site of sites) {
      const expert = expertOf(site);
      const routed = expert === undefined ? undefined : tokensPerExpert?.[expert];
      const evidence = { ...statisticsOf(sums, site), sequences, tokens: routed || tokens };
      const prepared = await operator.prepare(`block ${block}, ${site}`, evidence, { gemm });
      if (prepared.damping !== undefined) damping[site] = prepared.damping;
      for (const linear of linears.filter((one) => one.site === site)) {
        const treatment = treatmentOf(plan, unitOf(linear));
        if (!treatment) continue;
        const pull = pullFor(linear, sums, target.alpha, gemm);
        const { weights, grid, bias } = editLinear(model, linear, withPull(prepared, pull), treatment);
        for (const tensor of bias ? [weights, bias] : [weights]) {
          const edit = await computed(tensor);
          edits.set(edit.name, edit);
          edited.set(edit.name, await edit.read());
        }
        if (grid) grids.push({ ...grid, scales: await computed(grid.scales) });
      }
    }
  }
  if (moves) await run(edited, [], { hidden: 'treated', last: true });
  return { edits, grids, notes: { damping, unseen } };
}

/** Sums what `sites` need of the pair of a block in which `edited` is treated; with `hidden` it moves that stream. */
export type PairRun = (
  edited: ReadonlyMap<string, Uint8Array>,
  sites: readonly TapSite[],
  how: { readonly hidden: 'dense' | 'treated' | undefined; readonly last: boolean },
) => Promise<Grams>;

/**
 * Runs the pair of a block over all chunks: stores what streams on and adds up the rest. A value inside the block is computed
 * once for each stream, in the run after the linears before it are treated; later runs are given it.
 */
export async function createPairRun(
  own: Own,
  engine: Engine,
  model: Model,
  block: number,
  target: StreamTarget,
  { treated, dense, next }: Streams,
  importance: Importance | undefined,
): Promise<PairRun> {
  const { chunks, length } = treated;
  const feeds: Record<string, Feed> = {
    [PAIR_INPUTS.treated]: { from: treated },
    [PAIR_INPUTS.dense]: { from: dense },
    ...rootFeeds(block, importance),
  };
  const held = heldValues(model, block);
  const measured = new Set<TapSite>();
  return async (edited, sites, { hidden, last }) => {
    const give = held.filter(({ name }) => feeds[name]);
    // After the last run nobody asks.
    const keep = last ? [] : held.filter(({ name, after }) => !feeds[name] && measured.has(after));
    const graph = pairGraph(model, block, {
      ...{ length, shares: target, sites, hidden, edited, weighted: importance !== undefined },
      ...{ keep: keep.map(({ name }) => name), give: give.map(({ name }) => name) },
    });
    const read = Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name]!]));
    for (const { name, width, flat } of keep) {
      feeds[name] = { from: await own(createActivations(chunks, length, width)), flat };
    }
    const sums = await withResources(async (ownToo) => {
      const session = await ownToo(engine.load(graph));
      return await sumOverChunks(engine, treated, async (chunk) => {
        const { y, ...rest } = await runChunks(session, read, chunk);
        if (y) await next![hidden!].write(chunk, y.data as Float32Array);
        for (const { name } of keep) {
          await feeds[name]!.from.write(chunk, rest[name]!.data as Float32Array);
          delete rest[name];
        }
        return rest;
      });
    });
    for (const site of sites) measured.add(site);
    return sums;
  };
}

/** The sites in the order in which they are treated; those of experts at once, since they have no dense counterpart. */
function stagesOf(linears: readonly Linear[]): readonly (readonly TapSite[])[] {
  const sites = [...new Set(linears.map(({ site }) => site))];
  const experts = sites.filter((site) => expertOf(site) !== undefined);
  const stages = sites.filter((site) => !experts.includes(site)).map((site) => [site]);
  return experts.length > 0 ? [...stages, experts] : stages;
}

/** Overwritten by the operator: the Gram matrix. Its diagonal is kept before. */
function statisticsOf(sums: Grams, site: string): Pick<Evidence, 'gram' | 'squareSums' | 'columnSums'> {
  const gram = sums[site]!;
  const squareSums = diagonalOf(gram, Math.sqrt(gram.length));
  return { gram, squareSums, columnSums: Float64Array.from(sums[sumsOf(site)]!) };
}

type Pull = (W: Matrix) => Promise<Float32Array | undefined>;

/** α·W(X − X̃)X̃ᵀ + γ·r·X̃ᵀ for a linear, [rows, columns]; undefined where its site has no dense counterpart. */
function pullFor({ site }: Linear, sums: Grams, alpha: number, gemm: Gemm): Pull {
  const [pull, cross] = [sums[pullOf(site)], sums[crossOf(site)]];
  if (pull || !cross) return async () => pull;
  return async ({ rows, columns, data }) => {
    const scaled = data.map((weight) => alpha * weight);
    return await gemm.multiply({ rows, columns, data: scaled }, { rows: columns, columns, data: cross.slice() });
  };
}

const withPull = (prepared: Prepared, pull: Pull): Prepared => ({
  ...prepared,
  apply: async (unit, W, treatment) => await prepared.apply(unit, W, treatment, await pull(W)),
});
