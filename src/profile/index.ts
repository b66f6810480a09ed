export { type Angles, lastTokens, measureAngles, startAngles } from './angles.js';
export {
  type BlockReader,
  COLLECTED,
  type Collection,
  collectable,
  needCalibration,
  requireCalibration,
  startCollection,
} from './collect.js';
export { fillGrams, fillSquareSums, unseenExperts } from './experts.js';
export { type Grams, measureGrams } from './gram.js';
export { type InfluenceSums, startInfluence } from './influence.js';
export { sampleInputs } from './inputs.js';
export type { BlockInputs, Sample } from './measure.js';
export { measureSquareSums, type SquareSums } from './squares.js';
