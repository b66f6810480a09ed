export { pairedInterval, summarise, verdictOf } from './perplexity.js';
export { scoreWindows } from './score.js';
