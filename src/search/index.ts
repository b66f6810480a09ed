export { GRID, searchInterval } from './bracket.js';
export { removeGreedily } from './greedy.js';
export { type Point, searchGrid } from './grid.js';
