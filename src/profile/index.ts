export { measureSquareSums, type SquareSums } from './squares.js';
