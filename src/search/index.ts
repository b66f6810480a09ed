export { GRID, type SearchInput, type SearchResult, searchBeta } from './bracket.js';
export { type GreedyResult, removeGreedily } from './greedy.js';
export { type GridInput, type Point, searchGrid } from './grid.js';
