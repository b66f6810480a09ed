export { assignMost } from './assign.js';
export { choleskyOfInverse } from './cholesky.js';
export { createGemm, type EngineGemm, type Gemm, plainGemm } from './gemm.js';
export { copyBlock, diagonalOf, type Matrix, subtractBlock } from './matrix.js';
