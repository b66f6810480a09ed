// The planning side of a calibration that is shared: one letter for each leaf of the calibration text and each block. The sums that
// come back are added in the order of the leaves (stream/leaves.ts), as in one process, so that blocks have the same bytes for any
// number of workers. The block is treated here, and its file goes into the store for the next round.

import { digestOf, hashFile, RemoteError, settleAll } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { EvidenceName } from '../operators/index.js';
import type { BlockEvidence, PairRun, RemoteCalibration, StreamTarget } from '../pipeline/index.js';
import { fillSquareSums, type Grams, type SquareSums } from '../profile/index.js';
import type { Store } from '../queue/index.js';
import type { LeafRequest, LeafResult } from '../records/index.js';
import { addTo, countOf, leavesOf, type Numbers, rowsOf, type Samples } from '../stream/index.js';
import { claimKey, roundOf } from './leaf-worker.js';
import { outcomeKey, type Post } from './post.js';
import { fileKey } from './share-run.js';
import { getNumbers, numbersKey, putNumbers } from './shared-numbers.js';
import type { TrialRequest } from './trial.js';

type Stage = Extract<LeafRequest['measure'], { kind: 'pair' }>['stages'][number];

export type RemoteContext = {
  readonly post: Post;
  readonly store: Store;
  /** Digest of the run's description. */
  readonly run: string;
  readonly model: Model;
  readonly calibration: Samples;
};

/** Statistics for one trial. */
export function createRemoteCalibration(
  { post, store, run, model, calibration }: RemoteContext,
  needs: readonly EvidenceName[],
  request: TrialRequest,
  label: string,
): RemoteCalibration {
  const leaves = leavesOf(calibration.embedded.chunks.length).length;
  const before: (string | null)[] = [];
  /** What is of no use any more once the block's file is in the store. */
  const used = new Set<string>();

  /** The sums of a round over the whole text, by name. */
  const sum = async (measure: LeafRequest['measure']): Promise<ReadonlyMap<string, Numbers>> => {
    const common = { model: request.model, calibration: request.calibration!, before: [...before], measure, leaves };
    const hints = { label: `${label}, block ${before.length + 1}` };
    const failed = new AbortController();
    const ask = async (leaf: LeafRequest['leaf']): Promise<LeafResult> => {
      const work = { kind: 'leaf', request: { ...common, leaf } } as const;
      try {
        const { result } = await post.deliver(work, { ...hints, signal: failed.signal });
        if (!('sums' in result)) throw wrongOutcome(label);
        used.add(outcomeKey(run, digestOf(work)));
        return result;
      } catch (error) {
        failed.abort();
        throw error;
      }
    };
    const results = new Map<number, LeafResult>();
    const enter = (all: readonly LeafResult[]): void => {
      for (const result of all) if (result.leaf !== null) results.set(result.leaf, result);
    };
    const all = Array.from({ length: leaves }, (_, leaf) => leaf);
    enter(await settleAll(all.map((letter) => ask({ kind: 'any', letter }))));
    // A letter that two workers had at once may have claimed two leaves.
    const missing = all.filter((leaf) => !results.has(leaf));
    enter(await settleAll(missing.map((leaf) => ask({ kind: 'this', leaf }))));
    const round = roundOf({ ...common, leaf: { kind: 'any', letter: 0 } });
    const total = new Map<string, Numbers>();
    const names = results.get(0)?.sums.map(({ name }) => name) ?? [];
    for (const leaf of all) {
      used.add(claimKey(run, round, leaf));
      const { sums } = results.get(leaf) ?? { sums: [] };
      if (sums.length !== names.length) throw wrongOutcome(label);
      for (const [at, one] of sums.entries()) {
        const length = total.get(one.name)?.length ?? one.length;
        if (one.name !== names[at] || one.length !== length) throw wrongOutcome(label);
        addTo(total, one.name, await getNumbers(store, run, round, one));
        for (const digest of one.parts) used.add(numbersKey(run, round, digest));
      }
    }
    return total;
  };

  const counted = {
    sequences: countOf(calibration.content),
    tokens: rowsOf(model, calibration.content, calibration.embedded.length),
  };

  return {
    ...counted,
    evidence: async (): Promise<BlockEvidence> => {
      const total = await sum({ kind: 'inputs', needs: [...needs] });
      const of = (kind: string): Readonly<Record<string, Numbers>> | undefined => {
        const own = [...total].filter(([name]) => name.startsWith(`${kind} `));
        return own.length > 0
          ? Object.fromEntries(own.map(([name, values]) => [name.slice(kind.length + 1), values]))
          : undefined;
      };
      const squareSums = of('squareSums') as SquareSums | undefined;
      return {
        ...counted,
        squareSums: squareSums && fillSquareSums(squareSums),
        columnSums: of('columnSums') as SquareSums | undefined,
        grams: of('grams') as Grams | undefined,
      };
    },
    pairs: ({ alpha, gamma }: StreamTarget): PairRun => {
      const stages: Stage[] = [];
      const sent = new Set<string>();
      return async (edited, sites, { hidden, last }) => {
        // The streams move on with the block's file.
        if (sites.length === 0) return {};
        const edits: Record<string, string[]> = {};
        for (const [name, bytes] of edited) {
          if (sent.has(name)) continue;
          sent.add(name);
          const parts = await putNumbers(store, run, 'edits', bytes);
          edits[name] = parts;
          for (const digest of parts) used.add(numbersKey(run, 'edits', digest));
        }
        stages.push({ sites: [...sites], edits, ...(hidden === 'dense' ? { hidden } : {}), last });
        const total = await sum({ kind: 'pair', shares: { alpha, gamma }, stages: [...stages] });
        return Object.fromEntries(total) as Grams;
      };
    },
    behind: async (path) => {
      const isLast = before.length === model.config.blocks - 1;
      if (path === undefined || isLast) before.push(null);
      else {
        const digest = await hashFile(path);
        await store.putFileOnce(fileKey(digest), path);
        before.push(digest);
      }
      // Outcomes first: one that is there promises its numbers.
      const keys = [...used].sort((a, b) => Number(b.startsWith('outcomes/')) - Number(a.startsWith('outcomes/')));
      for (const key of keys) await store.remove(key);
      used.clear();
    },
  };
}

const wrongOutcome = (label: string): RemoteError =>
  new RemoteError(
    'E_REMOTE_WORKER',
    `${label}: a worker answered with sums of something else. Start the run again, in a new store.`,
    { label },
  );
