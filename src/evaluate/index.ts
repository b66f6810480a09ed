export { pairedInterval, summarise, verdictOf } from './perplexity.js';
export { scoreDivergence, scoreWindows } from './score.js';
