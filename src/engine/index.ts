export { DEVICES, type Device, type Engine, type HostTensor, type Lent, type Session } from './engine.js';
export { createOrtEngine } from './ort/ort.js';
export { createReferenceEngine } from './reference/reference.js';
