// AssemblyScript, compiled to dist/kernels/runtime.wasm (runtime-single.wasm for one thread, -relaxed.wasm with relaxed
// SIMD): the kernels of a decoder. Kernels keep no state but `askAhead`: callers pass all addresses, and the memory is the only
// import. Each kernel takes a range [from, to) of what threads share: row groups of eight, tokens, or heads. Addresses
// are bytes. runtime-kernels.ts describes every kernel where it declares it.

export { askAhead, touched } from './runtime/ahead.as';
export { attend } from './runtime/attention.as';
export { multiplyDenseInt2, multiplyDenseInt3 } from './runtime/dense-few.as';
export { multiplyDenseFloat } from './runtime/dense-float.as';
export { multiplyDenseInt4 } from './runtime/dense-int4.as';
export { multiplyDenseInt8 } from './runtime/dense-int8.as';
export {
  activate,
  add,
  lookFloat,
  lookHalf,
  lookInt4,
  lookInt8,
  normalise,
  normaliseLayer,
  quantise,
  read,
  rotate,
} from './runtime/elements.as';
export { multiplyMasksInt4 } from './runtime/masks-int4.as';
export { multiplyRows } from './runtime/rows.as';
export { fourProducts } from './runtime/steps.as';
export { multiplyFixedInt4, multiplySortedInt4 } from './runtime/tiles-int4.as';
export { multiplyFixedInt8, multiplySortedInt8 } from './runtime/tiles-int8.as';
