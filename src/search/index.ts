export { GRID, type SearchInput, type SearchResult, searchBeta } from './bracket.js';
