export { renderComparison } from './comparison.js';
export { frontierPicture, renderFrontier } from './frontier.js';
export { renderReport } from './report.js';
