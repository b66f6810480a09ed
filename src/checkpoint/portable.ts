export { allocate } from './allocate.js';
export { type JsonObject, parseJsonObject } from './json.js';
export type { Checkpoint } from './open.js';
export type { TensorInfo } from './safetensors.js';
