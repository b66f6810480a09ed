export {
  drawErrors,
  drawFront,
  drawLines,
  drawSearch,
  drawSparsity,
  type FrontPoint,
  searchTop,
  type TrialPoint,
} from './charts.js';
export { escapeHtml, figure, type Html, list, note, type Row, section, table } from './html.js';
export { formatCompared, formatEstimate, formatPercent, formatRatios, formatTarget } from './numbers.js';
export { page } from './page.js';
export { FORM_MARKS, type KeyEntry, keyOf, keyOfForms, keyOfLines, markOfForm, PALETTE } from './palette.js';
