export { allocate } from './allocate.js';
export { type JsonObject, parseJsonObject } from './json.js';
