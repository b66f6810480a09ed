export { summarise } from './perplexity.js';
export { LOGITS_PER_RUN, scoreDivergences, scoreWindows } from './score.js';
