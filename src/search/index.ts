export { GRID, walkInterval } from './bracket.js';
export { type DescentInput, walkDescent } from './descent.js';
export { levelsOf, walkLevels } from './evolve.js';
export { removeGreedily } from './greedy.js';
export { walkGrid } from './grid.js';
export { type Ask, askKey, createSearcher, type Point, type Searcher, type Walk } from './searcher.js';
