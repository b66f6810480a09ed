export { summarise } from './perplexity.js';
export { scoreDivergences, scoreWindows } from './score.js';
