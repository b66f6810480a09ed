export { describeSnapshot } from './cache.js';
export { renderCard } from './card.js';
export { DATA_SETS, resolveText, type TextRole } from './data.js';
export { resolveModel } from './model.js';
export { checkPush, type PushResult, type PushTarget, pushFolder } from './push.js';
export { type HubSettings, readHubSettings } from './settings.js';
