// Which whole blocks go: decisions per block from numbers per block, hence in this room; pure. Where two are equal the lower
// index goes first. By rule the last block stays in every method that judges blocks by the residual: what it writes is read
// by the final norm and the head alone, which a cosine does not see, and both papers' removals keep it (ShortGPT by an
// influence that the final norm inflates, the angular method by distances that are largest there). Removal by perplexity
// measures that damage itself and may take any block; its search is src/search/greedy.ts.

import { InternalError, OptionError } from '../base/index.js';

export type DropMethod = {
  readonly name: 'shortgpt' | 'angular' | 'deepest' | 'perplexity';
  readonly summary: string;
  /** The text without which the method cannot choose. */
  readonly needs: 'calibration' | 'validation' | undefined;
};

export const DROP_METHODS: ReadonlyMap<string, DropMethod> = new Map(
  (
    [
      { name: 'shortgpt', summary: 'the blocks that turn the residual least, the last apart', needs: 'calibration' },
      {
        name: 'angular',
        summary:
          'the neighbouring blocks across which the residual of a window’s last token turns least, the last apart',
        needs: 'calibration',
      },
      { name: 'deepest', summary: 'the blocks just before the last', needs: undefined },
      {
        name: 'perplexity',
        summary: 'one after another, the block whose removal costs least perplexity on validation text',
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

/** The `n` blocks of least influence, ascending; never the last. */
export function dropLeast(influence: readonly number[], n: number): number[] {
  requireRoom(influence.length, n);
  const order = influence.slice(0, -1).map((_, block) => block);
  order.sort((a, b) => influence[a]! - influence[b]! || a - b);
  return ascending(order.slice(0, n));
}

/** The run of `n` blocks of least distance; `distances[l]` is that across blocks l … l + n − 1. Never the last block. */
export function dropRun(distances: readonly number[], n: number): number[] {
  const blocks = distances.length + n - 1;
  requireRoom(blocks, n);
  let first = 0;
  for (let l = 1; l + n < blocks; l++) if (distances[l]! < distances[first]!) first = l;
  return Array.from({ length: n }, (_, i) => first + i);
}

/** The `n` blocks before the last. */
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
