export { DEVICES, type Device, type Engine, type HostTensor, type Session } from './engine.js';
export { createOrtEngine, type OrtOptions } from './ort/ort.js';
export { createReferenceEngine } from './reference/reference.js';
