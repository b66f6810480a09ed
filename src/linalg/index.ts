export { choleskyOfInverse, type FactorOptions } from './cholesky.js';
export { createGemm, type EngineGemm, type Gemm, plainGemm } from './gemm.js';
export { type Block, copyBlock, type Matrix, subtractBlock, writeBlock } from './matrix.js';
