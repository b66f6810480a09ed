export { pairedInterval, summarise, verdictOf } from './perplexity.js';
export { scoreDivergences, scoreWindows } from './score.js';
