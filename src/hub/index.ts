export { describeSnapshot } from './cache.js';
export { type CardInput, renderCard } from './card.js';
export { DATA_SETS, resolveText, type TextRole, type TextSource } from './data.js';
export { type ResolveOptions, resolveModel } from './model.js';
export { checkPush, type PushResult, type PushTarget, pushFolder } from './push.js';
export { type HubSettings, readHubSettings } from './settings.js';
