export { formatGain, formatShare } from './accuracy.js';
export { frontierTable, markdownTable, nameFronts } from './frontier.js';
export { describeGains, warnOfGains } from './gains.js';
export { describeValues, symbolOf } from './hyperparameters.js';
export { formatLoss, type LossWords, wordsOfLoss } from './loss.js';
export {
  formatAccuracy,
  formatBytes,
  formatCount,
  formatNats,
  formatNumber,
  formatPercent,
  formatPerplexity,
  formatTarget,
} from './numbers.js';
export { changeTable, formatMetric, METRICS, nameMetric, partsTable } from './tasks.js';
export { describeStart } from './texts.js';
export { nameUnits } from './units.js';
