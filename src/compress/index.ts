export { checkZeros, chooseMixed, type MixedChoice } from './choose.js';
export { type CompressBudget, type Costing, costing } from './costs.js';
export { type Forecast, forecast } from './forecast.js';
export {
  ALLOWED,
  type CompressOptions,
  type CompressSettings,
  measuredOf,
  normaliseCompress,
  TREATMENTS,
} from './settings.js';
export { type Damages, type Measured, measureDamages, plainTable, readDamages } from './table.js';
