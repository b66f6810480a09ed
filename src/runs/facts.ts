// The facts about a model that policies use.

import { linearUnits, type Model } from '../model/index.js';
import type { ModelFacts } from '../plan/index.js';

export const factsOf = (model: Model): ModelFacts => ({ blocks: model.config.blocks, linears: linearUnits(model) });
