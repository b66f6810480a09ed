export {
  compareModels,
  compareRows,
  compareStreams,
  emptyFidelity,
  openLogits,
  setToken,
  summariseFidelity,
  type TokenFidelity,
} from './fidelity.js';
export { summarise } from './perplexity.js';
export { LOGITS_PER_RUN, scoreDivergences, scoreWindows } from './score.js';
