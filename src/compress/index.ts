export { chooseMixed, type MixedChoice } from './choose.js';
export { type CompressBudget, type Costing, costing } from './costs.js';
export { type Forecast, forecast } from './forecast.js';
export { ALLOWED, type CompressOptions, type CompressSettings, normaliseCompress } from './settings.js';
export { type Damages, readDamages } from './table.js';
