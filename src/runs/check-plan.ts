// A plan against the model and the operator that is to carry it out.

import { OptionError } from '../base/index.js';
import { linearUnits, type Model } from '../model/index.js';
import { formatPattern, type Operator, type Pattern } from '../operators/index.js';
import { meanRate } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import { factsOf } from './facts.js';

type Treating = { readonly criterion: Operator; readonly pattern: Pattern };

/** @throws OptionError E_OPTION_PLAN if the plan does not fit the model, or if it contains what the run cannot make */
export function checkPlan(plan: Plan, { criterion, pattern }: Treating, model: Model): void {
  const { makes } = criterion;
  const { blocks } = model.config;
  const of = plan.budget?.of ?? makes[0]!;
  const alone = `${makes.join(' and ')} alone`;
  if (!(makes as readonly string[]).includes(of)) {
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: its budget counts ${of}; ${criterion.name} makes ${alone}. Use a plan whose budget counts ${makes[0]}, or leave the budget out.`,
      { option: 'plan', got: of, expected: makes },
    );
  }
  const listed = Object.keys(plan.units).filter((id) => /^blocks\.(0|[1-9]\d*)$/.test(id));
  const beyond = listed.find((id) => Number(id.slice('blocks.'.length)) >= blocks);
  if (beyond !== undefined) {
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: expected blocks.0 to blocks.${blocks - 1} (the checkpoint has ${blocks} blocks), got ${beyond}.`,
      { option: 'plan', expected: blocks, got: beyond },
    );
  }
  // A plan that names only some of the blocks is probably a mistake, so blocks to keep dense need the rate 0.
  if (listed.length > 0 && listed.length < blocks && listed.length === Object.keys(plan.units).length) {
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: expected one treatment per block, ${blocks} in all, got ${listed.length}. Give the others the rate 0.`,
      { option: 'plan', expected: blocks, got: listed.length },
    );
  }
  const names = new Set(linearUnits(model).map(({ id }) => id));
  for (const [id, treatment] of Object.entries(plan.units)) {
    if (!names.has(id) && !listed.includes(id)) {
      throw new OptionError(
        'E_OPTION_PLAN',
        `--plan: ${JSON.stringify(id)} is not a prunable linear of this checkpoint, nor one of its blocks; expected names such as ${JSON.stringify([...names][0])} or "blocks.0".`,
        { option: 'plan', got: id },
      );
    }
    const other = Object.keys(treatment).find((part) => !(makes as readonly string[]).includes(part));
    if (other !== undefined) {
      throw new OptionError(
        'E_OPTION_PLAN',
        `--plan: ${id} asks for ${other}; ${criterion.name} makes ${alone}. Leave ${other} out of the plan.`,
        { option: 'plan', got: other, expected: makes },
      );
    }
    const own = treatment.zeros?.pattern;
    if (own === undefined || own === formatPattern(pattern)) continue;
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: ${id} asks for the pattern ${JSON.stringify(own)}; a run has one pattern for all linears, and this one's is ${formatPattern(pattern)}. Leave the pattern out of the plan and pass --pattern.`,
      { option: 'plan', got: own, expected: formatPattern(pattern) },
    );
  }
  if (makes[0] !== 'zeros') return;
  const target = meanRate(plan, factsOf(model));
  const { target: promised = target, counting = 'exact' } = plan.budget ?? {};
  if (counting === 'exact' && Math.abs(promised - target) > 1e-6) {
    throw new OptionError(
      'E_OPTION_PLAN',
      `--plan: its budget says a target of ${promised}, but on this checkpoint its rates have the mean ${target}. Use the checkpoint it was made for, or leave its budget out.`,
      { option: 'plan', expected: promised, got: target },
    );
  }
  if (target > 0 && target < 1) return;
  throw new OptionError(
    'E_OPTION_PLAN',
    `--plan: expected rates whose mean over all prunable weights lies between 0 and 1 (exclusive), got ${target}.`,
    { option: 'plan', got: target },
  );
}
