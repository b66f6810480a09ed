export { renderActivations } from './activations.js';
export { renderComparison } from './comparison.js';
export { renderCut } from './cut.js';
export { renderRemoval } from './drop.js';
export { renderExperts } from './experts.js';
export { frontierPicture, renderFrontier } from './frontier.js';
export { renderHealing } from './heal.js';
export { renderReport } from './report.js';
export { renderUnlearning } from './unlearn.js';
