export { describeSnapshot } from './cache.js';
export { DATA_SETS, resolveText, type TextRole, type TextSelection, type TextSource } from './data.js';
export { type ResolveOptions, resolveModel } from './model.js';
export { type HubSettings, readHubSettings } from './settings.js';
