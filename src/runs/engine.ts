// The engine that a run computes with.

import { createOrtEngine, type Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import type { RunSettings } from './settings.js';

/**
 * Blocks up to this many weights run on several single-threaded workers in parallel. Larger blocks run on one worker with
 * all threads, so their weights are in memory once. On two cores both are equally fast (docs/lab/performance.md).
 */
const SMALL_BLOCK = 4_000_000;

/** The engine for a model. */
export function openEngine(model: Model, { device, threads }: RunSettings): Promise<Engine> {
  const small = device === 'cpu' && model.blockWeights <= SMALL_BLOCK;
  return createOrtEngine(small ? { device, workers: threads, threads: 1 } : { device, workers: 1, threads });
}
