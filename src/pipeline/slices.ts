// What slices of a block's values are worth on the dense model's inputs: what taking them out costs, FLAP's scores, and LLM-Pruner's.
// One pass over the calibration text, block by block, or one forward and back.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createBackward } from '../evaluate/index.js';
import { createGemm, type Gemm } from '../linalg/index.js';
import { groupsOf, type Linear, type Model, readLinear, rowsOfSlice, toRows, weightName } from '../model/index.js';
import {
  costsNeed,
  type EvidenceName,
  measureCosts,
  type Reader,
  scaleRows,
  scoreFlapColumns,
  sumOverSlices,
} from '../operators/index.js';
import type { Half } from '../plan/index.js';
import { fillGrams } from '../profile/index.js';
import { passBlock, type Samples, sameShape, type Text } from '../stream/index.js';
import { type BlockEvidence, evidenceAt, measureEvidence } from './treat.js';

type Slicing = {
  readonly engine: Engine;
  readonly model: Model;
  readonly halves: readonly Half[];
  readonly readers: ReadonlyMap<string, Reader>;
  readonly onProgress: OnProgress;
};

/** By half: what the cheapest way to take out 0, 1, 2, … slices costs, in squares of the residual; experts all lose as many. */
export function measureSliceCosts(
  slicing: Slicing,
  text: Samples,
): Promise<Readonly<Record<string, readonly number[]>>> {
  return overBlocks(
    slicing,
    text,
    costsNeed(slicing.readers),
    'costs of slices',
    async (half, evidence, linears, gemm) => {
      const sums: number[] = [];
      for (const linear of linears) {
        const { gram, ...rest } = evidenceAt(evidence, linear.site);
        const W = { ...linear, data: await readLinear(slicing.model.checkpoint, linear) };
        const reader = slicing.readers.get(linear.name)!;
        const site = `block ${half.block}, ${linear.site}`;
        const costs = await measureCosts(W, reader, { ...rest, gram: gram! }, gemm, site);
        for (const [i, cost] of costs.entries()) sums[i] = (sums[i] ?? 0) + cost;
      }
      return sums;
    },
  );
}

/**
 * By half: FLAP's scores of its slices, standardised over the columns of the block as in the published code, and averaged over a
 * slice's columns.
 */
export function measureFlapScores(
  slicing: Slicing,
  text: Samples,
): Promise<Readonly<Record<string, readonly number[]>>> {
  return overBlocks(slicing, text, ['squareSums', 'columnSums'], 'fluctuations', async (_half, evidence, [linear]) => {
    const { squareSums, ...rest } = evidenceAt(evidence, linear!.site);
    const W = { ...linear!, data: await readLinear(slicing.model.checkpoint, linear!) };
    const { width, factors } = slicing.readers.get(linear!.name)!;
    const scores = scoreFlapColumns(scaleRows(W, factors), { ...rest, squareSums: squareSums! });
    const mean = scores.reduce((a, b) => a + b, 0) / scores.length;
    const deviation = Math.sqrt(
      scores.reduce((sum, one) => sum + (one - mean) ** 2, 0) / Math.max(1, scores.length - 1),
    );
    const standard = scores.map((one) => (one - mean) / (deviation || 1));
    return Array.from(sumOverSlices(standard, width), (sum) => sum / width);
  });
}

async function overBlocks(
  { engine, model, halves, onProgress }: Slicing,
  text: Samples,
  needs: readonly EvidenceName[],
  stage: string,
  measure: (half: Half, evidence: BlockEvidence, linears: readonly Linear[], gemm: Gemm) => Promise<readonly number[]>,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const { blocks } = model.config;
  onProgress({ kind: 'stage', stage, total: blocks });
  return await withResources(async (own) => {
    const gemm = await own(createGemm(engine));
    const seen = await own(sameShape(text.embedded));
    const found: Record<string, readonly number[]> = {};
    for (let block = 0; block < blocks; block++) {
      const from = block === 0 ? text.embedded : seen;
      const evidence = await measureEvidence(engine, model, { needs }, block, from, text);
      if (evidence.grams) fillGrams(evidence.grams);
      for (const half of halves.filter((one) => one.block === block)) {
        const linears = model.linears[block]!.filter(({ name }) => half.readers.includes(name));
        found[half.id] = await measure(half, evidence, linears, gemm);
      }
      if (block < blocks - 1) await passBlock(engine, model, block, [[from, seen]]);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    return found;
  });
}

/** By reader: Σ |w·∂loss/∂w| over all weights of each slice, the loss being the text's. */
export async function measureTaylorScores(
  { engine, model, halves, onProgress }: Omit<Slicing, 'readers'>,
  text: Text,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const { blocks } = model.config;
  onProgress({ kind: 'stage', stage: 'gradients', total: blocks });
  const wanted = new Set(halves.flatMap(({ readers }) => readers));
  const groupsAt = (block: number) =>
    groupsOf(model.config, model.tensorNames, block).filter(({ slices }) => wanted.has(slices.readers[0]!));
  const linearsAt = (block: number): readonly Linear[] => {
    const names = new Set(groupsAt(block).flatMap(({ slices: { feeders, readers } }) => [...feeders, ...readers]));
    return model.linears[block]!.filter(({ name }) => names.has(name));
  };
  const found: Record<string, readonly number[]> = {};
  return await withResources(async (own) => {
    const backward = await own(createBackward(engine, model));
    await backward.pass(text, {
      loss: { kind: 'nll' },
      wrt: (place) => (place === 'head' ? [] : linearsAt(place).map(weightName)),
      onGradients: async (place, gradients) => {
        if (place === 'head') return;
        const products = new Map<string, Float32Array>();
        for (const linear of linearsAt(place)) {
          const W = await readLinear(model.checkpoint, linear);
          const G = toRows(linear, gradients.get(weightName(linear))!);
          products.set(
            linear.name,
            W.map((value, i) => Math.abs(value * G[i]!)),
          );
        }
        const byName = new Map(linearsAt(place).map((linear) => [linear.name, linear]));
        for (const group of groupsAt(place)) {
          const { count, width, feeders, readers } = group.slices;
          const scores = new Array<number>(count).fill(0);
          for (const name of readers) {
            const { columns } = byName.get(name)!;
            for (const [i, value] of products.get(name)!.entries()) scores[Math.floor((i % columns) / width)]! += value;
          }
          for (const name of feeders) {
            const linear = byName.get(name)!;
            for (let slice = 0; slice < count; slice++) {
              for (const { from, to } of rowsOfSlice(linear, group, slice)) {
                const rows = products.get(name)!.subarray(from * linear.columns, to * linear.columns);
                scores[slice]! += rows.reduce((a, b) => a + b, 0);
              }
            }
          }
          for (const name of readers) found[name] = scores;
        }
        onProgress({ kind: 'advance', detail: `block ${place + 1} of ${blocks}` });
      },
    });
    return found;
  });
}
