// Chooses which whole blocks to remove, from one number per block. Pure; ties remove the lower index. Methods that judge
// blocks by the residual never remove the last block: only the final norm and the head read its output, and a cosine cannot
// see that. Both papers' removals keep it too (ShortGPT because the final norm inflates its influence, the angular method
// because distances are largest there). Removal by perplexity measures this damage and may take any block; its search is
// src/search/greedy.ts.

import { InternalError, OptionError } from '../base/index.js';

export type DropMethod = {
  readonly name: 'shortgpt' | 'angular' | 'deepest' | 'perplexity' | 'repaired';
  readonly summary: string;
  /** The text that the method needs. */
  readonly needs: 'calibration' | 'validation' | undefined;
};

export const DROP_METHODS: ReadonlyMap<string, DropMethod> = new Map(
  (
    [
      {
        name: 'shortgpt',
        summary: 'the blocks that turn the residual least, except the last block',
        needs: 'calibration',
      },
      {
        name: 'angular',
        summary: 'the run of blocks that turns the residual of the last token in a window least, except the last block',
        needs: 'calibration',
      },
      { name: 'deepest', summary: 'the blocks just before the last', needs: undefined },
      {
        name: 'perplexity',
        summary: 'one block after another, each time the one whose removal raises validation perplexity least',
        needs: 'validation',
      },
      {
        name: 'repaired',
        summary: 'as perplexity, but each removal is repaired before it is scored, by --repair or --merge',
        needs: 'validation',
      },
    ] as const
  ).map((method) => [method.name, method]),
);

/** @throws OptionError E_OPTION_METHOD */
export function findDropMethod(name: string): DropMethod {
  const method = DROP_METHODS.get(name);
  if (method) return method;
  const known = [...DROP_METHODS.keys()];
  throw new OptionError(
    'E_OPTION_METHOD',
    `--method: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}.`,
    { option: 'method', expected: known, got: name },
  );
}

/** The `n` blocks with the least influence, ascending. Never the last block. */
export function dropLeast(influence: readonly number[], n: number): number[] {
  requireRoom(influence.length, n);
  const order = influence.slice(0, -1).map((_, block) => block);
  order.sort((a, b) => influence[a]! - influence[b]! || a - b);
  return ascending(order.slice(0, n));
}

/** The run of `n` blocks with the least distance. `distances[l]` spans blocks l … l + n − 1. Never the last block. */
export function dropRun(distances: readonly number[], n: number): number[] {
  const blocks = distances.length + n - 1;
  requireRoom(blocks, n);
  let first = 0;
  for (let l = 1; l + n < blocks; l++) if (distances[l]! < distances[first]!) first = l;
  return Array.from({ length: n }, (_, i) => first + i);
}

/** The `n` blocks just before the last. */
export function dropDeepest(blocks: number, n: number): number[] {
  requireRoom(blocks, n);
  return Array.from({ length: n }, (_, i) => blocks - 1 - n + i);
}

const ascending = (blocks: readonly number[]): number[] => [...blocks].sort((a, b) => a - b);

function requireRoom(blocks: number, n: number): void {
  if (Number.isInteger(n) && n >= 1 && n < blocks) return;
  throw new InternalError('E_INTERNAL_DROP', `Cannot drop ${n} of ${blocks} blocks; please report this.`, {
    blocks,
    n,
  });
}
