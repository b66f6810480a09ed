export { type LogitsStage, trainLogits } from './logits-stage.js';
export type { Curve, LoopSettings } from './loop.js';
export type { Parameter } from './parameter.js';
export { checkTrained, createParameters, isGrid, LORA_ALPHA, type Trained } from './parameters.js';
export { openSessions, passHalves, weightsOf } from './sessions.js';
export {
  STEERED,
  type SteerTexts,
  steeredTensors,
  steeringParameters,
  trainSteering,
} from './steer-stage.js';
export { type HalfCurve, type Match, type StreamStage, trainStream } from './stream-stage.js';
export type { Scored } from './watch.js';
