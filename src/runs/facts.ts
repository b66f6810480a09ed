// The facts about a model that policies use.

import { linearUnits, type Model, stageOf } from '../model/index.js';
import type { ModelFacts } from '../plan/index.js';

/** With the unit `stage`, the blocks of a stage get one rate together. */
export const factsOf = (model: Model, unit?: 'stage'): ModelFacts => {
  const { blocks, image } = model.config;
  const facts = { blocks, linears: linearUnits(model) };
  if (unit === undefined || !image) return facts;
  return { ...facts, groups: Array.from({ length: blocks }, (_, block) => stageOf(image, block)) };
};
