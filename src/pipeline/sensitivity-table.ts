// Measures a table of sensitivities: mean token KL(dense ‖ dense with one unit treated) for every unit and treatment. A unit is
// what shares a treatment: q, k and v; o; gate and up; down (plan/bits.ts). An operator is prepared once for each input, on
// the dense calibration residual, and applied with every treatment. One sweep covers all of them (variants.ts).

import { InternalError, type OnProgress, settleAll, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm } from '../linalg/index.js';
import { checkpointSource, linearUnits, type Model } from '../model/index.js';
import type { Operator, Prepared } from '../operators/index.js';
import { widthGroups } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import { passBlock, type Samples, sameShape } from '../stream/index.js';
import { editLinear } from './edit-linear.js';
import { measureEvidence, prepareSites } from './treat.js';
import { type Replaced, sweepVariants, type Variant } from './variants.js';

export type TableInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly operator: Operator;
  readonly treatments: readonly Treatment[];
  /** Whether whole blocks are left out, too, each alone. */
  readonly drops?: boolean;
  readonly calibration: Samples | undefined;
  readonly onProgress: OnProgress;
};

/** The linears of a unit, by index, and the damage of each treatment in nats per token. */
export type UnitDamages = {
  readonly linears: readonly number[];
  readonly block: number;
  readonly damages: readonly number[];
};

export type TableDamages = {
  /** In the model's order. */
  readonly units: readonly UnitDamages[];
  /** Of each block, left out; absent where that was not asked. */
  readonly drops?: readonly number[];
};

export async function measureTable(input: TableInput, text: Samples): Promise<TableDamages> {
  const { engine, model, operator, treatments, drops = false, calibration, onProgress } = input;
  const linears = model.linears.flat();
  const groups = widthGroups(linearUnits(model), true);
  onProgress({ kind: 'stage', stage: 'sensitivity', total: model.config.blocks });
  return await withResources(async (own) => {
    const needs = operator.needs.length > 0 ? calibration : undefined;
    const seen = needs && (await own(sameShape(needs.embedded)));
    const gemm = operator.needs.includes('gram') ? await own(createGemm(engine)) : undefined;
    const idOf = (group: number, item: number): string => `${group} ${item}`;
    const { variants } = await sweepVariants({
      engine,
      model,
      text,
      count: groups.length * treatments.length + (drops ? model.config.blocks : 0),
      base: async () => checkpointSource(model.checkpoint),
      variants: async (block) => {
        const from = needs && (block === 0 ? needs.embedded : seen!);
        const evidence = await measureEvidence(engine, model, operator, block, from, needs);
        const prepared = await prepareSites(model, operator, block, evidence, gemm);
        const replacedBy = async (index: number, treatment: Treatment): Promise<readonly [string, Replaced]> => {
          const linear = linears[index]!;
          const { weights } = editLinear(model, linear, siteOf(prepared, linear.site), treatment);
          const { name, dtype, shape, read } = weights;
          return [name, { dtype, shape, bytes: await read() }];
        };
        const made: Variant[] = drops ? [{ id: dropOf(block), tensors: new Map(), skips: true }] : [];
        for (const [g, members] of groups.entries()) {
          if (linears[members[0]!]!.block !== block) continue;
          for (const [item, treatment] of treatments.entries()) {
            const tensors = await settleAll(members.map((index) => replacedBy(index, treatment)));
            made.push({ id: idOf(g, item), tensors: new Map(tensors) });
          }
        }
        if (from && block < model.config.blocks - 1) await passBlock(engine, model, block, [[from, seen!]]);
        return made;
      },
      onProgress,
    });
    const damageOf = (id: string): number => mean(variants.get(id)!);
    const units = groups.map((members, g) => ({
      linears: members,
      block: linears[members[0]!]!.block,
      damages: treatments.map((_, item) => damageOf(idOf(g, item))),
    }));
    return { units, ...(drops ? { drops: model.linears.map((_, block) => damageOf(dropOf(block))) } : {}) };
  });
}

const dropOf = (block: number): string => `drop ${block}`;

function siteOf(prepared: ReadonlyMap<string, Prepared>, site: string): Prepared {
  const found = prepared.get(site);
  if (!found) throw new InternalError('E_INTERNAL_EVIDENCE', `The input ${site} was not prepared.`);
  return found;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
