export { fromFloat32, halfBits, nearestHalf, toFloat32 } from './convert.js';
export { bytesPerElement, type DType, dtypes, elementCount, isDType, isFloat } from './dtype.js';
export { findNonFinite, LARGEST_NUMBER } from './finite.js';
export { transpose } from './transpose.js';
