export { lastTokens, measureAngles, startAngles } from './angles.js';
export {
  type BlockReader,
  COLLECTED,
  COLLECTED_BY_DEFAULT,
  type Collection,
  collectable,
  needCalibration,
  requireCalibration,
  startCollection,
} from './collect.js';
export { measureExperts } from './expert-sums.js';
export { fillGrams, fillSquareSums, unseenExperts } from './experts.js';
export { GRADIENT_DRAWS, measureExactGradients, measureGradients } from './gradient.js';
export { type Grams, measureGrams, sumOverChunks } from './gram.js';
export { emptyImportance, measureImportance, requireNoExperts } from './importance.js';
export { startInfluence } from './influence.js';
export { sampleInputs } from './inputs.js';
export type { BlockInputs } from './measure.js';
export { scoreRemovals } from './removals.js';
export { visitResiduals } from './residuals.js';
export { measureSquareSums, type SquareSums } from './squares.js';
