export { renderComparison } from './comparison.js';
export { renderReport } from './report.js';
