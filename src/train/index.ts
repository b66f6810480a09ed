export { type LogitsStage, trainLogits } from './logits-stage.js';
export type { Curve, LoopSettings } from './loop.js';
export type { Parameter } from './parameter.js';
export {
  checkTrained,
  holdParameters,
  isGrid,
  LORA_ALPHA,
  openAll,
  openParameters,
  type Parameters,
  type Trained,
} from './parameters.js';
export { openSessions, passHalves, weightsOf } from './sessions.js';
export {
  STEERED,
  type SteerTexts,
  steeredTensors,
  steeringParameters,
  trainSteering,
} from './steer-stage.js';
export { type HalfCurve, type Match, restoreStream, type StreamStage, trainStream } from './stream-stage.js';
export type { Scored } from './watch.js';
