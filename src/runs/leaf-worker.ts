// The worker's side of a calibration that is shared: statistics of one leaf of the calibration text before one block. The residual
// of a leaf stays with the worker that had it last, and moves on when the next round comes. Who has not got it makes it again, from
// the embeddings through the treated blocks, which are in the store: so a worker that dies costs time and nothing else.
// A letter asks for any leaf. The worker claims one, first of those that it holds; a claim is written once, so no other has it.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, type OnProgress, OptionError, type Own } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model, TapSite } from '../model/index.js';
import { blockFileSource, createPairRun, measureEvidence, type PairRun } from '../pipeline/index.js';
import type { Store } from '../queue/index.js';
import type { LeafRequest, LeafResult } from '../records/index.js';
import {
  type Activations,
  chunksOf,
  embedSamples,
  leavesOf,
  type Move,
  type Numbers,
  passBlock,
  pick,
  type Samples,
  sameShape,
  startsOf,
  weightsOf,
} from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { fetchShared } from './share-run.js';
import { getBytes, putNumbers } from './shared-numbers.js';
import type { Workspace } from './workspace.js';

export type LeafContext = {
  readonly engine: Engine;
  readonly model: Model;
  readonly store: Store;
  readonly run: string;
  readonly workspace: Pick<Workspace, 'at'>;
  /** The calibration text. */
  readonly content: Windows;
  readonly onProgress: OnProgress;
};

export interface LeafWorker {
  /** @throws OptionError E_OPTION_LETTER; CheckpointError E_CHECKPOINT_STORE; ResourceError, RemoteError */
  run(request: LeafRequest): Promise<LeafResult>;
}

type Before = LeafRequest['before'];
type Pair = Extract<LeafRequest['measure'], { kind: 'pair' }>;

/** The streams of a leaf. A stream that passed no block yet is the embeddings. */
type Held = {
  readonly samples: Samples;
  readonly treated: Activations;
  /** The blocks that `treated` has passed. */
  before: Before;
  readonly dense: Activations;
  /** How many blocks `dense` has passed. */
  passed: number;
  pair?: OpenPair | undefined;
};

/** The runs over a pair so far: later ones are given values of earlier ones. */
type OpenPair = {
  readonly before: string;
  stages: Pair['stages'];
  readonly edited: Map<string, Uint8Array>;
  readonly run: PairRun;
  close(): Promise<void>;
};

/** What the numbers of a round lie under: all letters of a round have it. */
export const roundOf = ({ leaf: _, ...round }: LeafRequest): string => digestOf(round);

export const claimKey = (run: string, round: string, leaf: number): string => `claims/${run}/${round}/${leaf}`;

/** `own` closes what it keeps with its scope. */
export function createLeafWorker(own: Own, context: LeafContext): LeafWorker {
  const { engine, model, store, run, workspace, content, onProgress } = context;
  const chunks = chunksOf(content.windows.length, content.length);
  const starts = [...startsOf(chunks), content.windows.length];
  const leaves = leavesOf(chunks.length);
  const held = new Map<number, Held>();
  const files = new Map<string, string>();

  /** A treated block, fetched once. */
  const blockFile = async (digest: string): Promise<string> => {
    const known = files.get(digest);
    if (known !== undefined) return known;
    const dir = workspace.at('blocks');
    await mkdir(dir, { recursive: true });
    const path = join(dir, `${digest}.safetensors`);
    // One of a worker that was killed.
    await rm(path, { force: true });
    await fetchShared(store, digest, path);
    files.set(digest, path);
    return path;
  };

  const open = async (leaf: number): Promise<Held> => {
    const { first, count } = leaves[leaf]!;
    const windows = Array.from({ length: starts[first + count]! - starts[first]! }, (_, i) => starts[first]! + i);
    const samples = await embedSamples(own, engine, model, pick(content, windows));
    samples.embedded.isLeaf = true;
    const [treated, dense] = [await own(sameShape(samples.embedded)), await own(sameShape(samples.embedded))];
    return { samples, treated, dense, before: [], passed: 0 };
  };

  const isBehind = ({ before }: Held, wanted: Before): boolean =>
    before.length < wanted.length && before.every((digest, block) => digest === wanted[block]);

  /** Moves the treated stream of a leaf behind the blocks `wanted`, and with it those that are as far: a block is loaded once. */
  const advance = async (one: Held, wanted: Before): Promise<void> => {
    if (digestOf(one.before) === digestOf(wanted)) return;
    if (!isBehind(one, wanted)) one.before = [];
    const at = one.before.length;
    const group = [...held.values()].filter(
      (other) => other !== one && other.before.length === at && isBehind(other, wanted),
    );
    group.push(one);
    for (let block = at; block < wanted.length; block++) {
      const moves = group.map(({ samples, treated }): Move => [block === 0 ? samples.embedded : treated, treated]);
      const digest = wanted[block]!;
      await passBlock(engine, model, block, moves, digest ? await blockFileSource(await blockFile(digest)) : undefined);
      onProgress({ kind: 'advance' });
      for (const each of group) each.before = wanted.slice(0, block + 1);
    }
  };

  const advanceDense = async (one: Held, blocks: number): Promise<void> => {
    if (one.passed > blocks) one.passed = 0;
    for (; one.passed < blocks; one.passed++) {
      await passBlock(engine, model, one.passed, [[one.passed === 0 ? one.samples.embedded : one.dense, one.dense]]);
    }
  };

  const measurePair = async (one: Held, { shares, stages }: Pair): Promise<Readonly<Record<string, Numbers>>> => {
    const block = one.before.length;
    await advanceDense(one, block);
    const before = digestOf([one.before, shares]);
    const known = one.pair;
    const done = known?.stages.length ?? 0;
    const goesOn =
      known?.before === before && done < stages.length && digestOf(known.stages) === digestOf(stages.slice(0, done));
    if (!goesOn) {
      await known?.close();
      one.pair = await openPair(one, before, block, shares);
    }
    const pair = one.pair!;
    let sums: Readonly<Record<string, Numbers>> = {};
    for (let at = pair.stages.length; at < stages.length; at++) {
      const { sites, edits, hidden, last } = stages[at]!;
      for (const [name, parts] of Object.entries(edits)) {
        const bytes = parts.map((digest) => getBytes(store, run, 'edits', digest));
        pair.edited.set(name, Uint8Array.from(Buffer.concat(await Promise.all(bytes))));
      }
      sums = await pair.run(pair.edited, sites as TapSite[], { hidden, last });
      pair.stages = stages.slice(0, at + 1);
    }
    return sums;
  };

  const openPair = async (one: Held, before: string, block: number, shares: Pair['shares']): Promise<OpenPair> => {
    const { samples, treated, dense } = one;
    const opened: Activations[] = [];
    const keep = (async (store: Promise<Activations>) => {
      opened.push(await store);
      return await store;
    }) as Own;
    // Streams move on by the block's file, as in a run that continues.
    const nowhere = { write: async () => {} };
    const streams = {
      treated: block === 0 ? samples.embedded : treated,
      dense: block === 0 ? samples.embedded : dense,
      next: { treated: nowhere, dense: nowhere },
    };
    const pairRun = await createPairRun(keep, engine, model, block, shares, streams, weightsOf(samples));
    const close = async (): Promise<void> => {
      for (const store of opened) await store.close();
    };
    return await own(Promise.resolve({ before, stages: [], edited: new Map(), run: pairRun, close }));
  };

  const measure = async (one: Held, request: LeafRequest): Promise<Readonly<Record<string, Numbers>>> => {
    if (request.measure.kind === 'pair') return await measurePair(one, request.measure);
    const block = one.before.length;
    const inputs = block === 0 ? one.samples.embedded : one.treated;
    const { squareSums, columnSums, grams } = await measureEvidence(
      engine,
      model,
      request.measure,
      block,
      inputs,
      one.samples,
    );
    const named = Object.entries({ squareSums, columnSums, grams });
    return Object.fromEntries(
      named.flatMap(([kind, sums]) => Object.entries(sums ?? {}).map(([site, values]) => [`${kind} ${site}`, values])),
    );
  };

  /** The leaf of a letter: that of its claim, else one that nobody has; undefined where there is none. */
  const claim = async (request: LeafRequest): Promise<number | undefined> => {
    if (request.leaf.kind === 'this') return request.leaf.leaf;
    const round = roundOf(request);
    const mine = `${request.leaf.letter}`;
    const all = leaves.map((_, leaf) => leaf);
    const claims = await Promise.all(all.map((leaf) => store.get(claimKey(run, round, leaf))));
    const before = claims.findIndex((bytes) => bytes && Buffer.from(bytes).toString() === mine);
    if (before >= 0) return before;
    const rank = (leaf: number): number => {
      const one = held.get(leaf);
      return one ? request.before.length - one.before.length : Number.MAX_SAFE_INTEGER;
    };
    // Letters that hold nothing begin at different leaves.
    const turned = all.map((_, i) => (i + Number(mine)) % all.length);
    const free = turned.filter((leaf) => !claims[leaf]).sort((a, b) => rank(a) - rank(b));
    for (const leaf of free) {
      if ((await store.putOnce(claimKey(run, round, leaf), Buffer.from(mine))) === 'put') return leaf;
    }
    return undefined;
  };

  const check = ({ before, measure, leaves: count, leaf }: LeafRequest): void => {
    const known = new Set(model.linears[before.length]?.map(({ site }) => site as string));
    const sites = measure.kind === 'pair' ? measure.stages.flatMap((stage) => stage.sites) : [];
    const wrong =
      before.length >= model.config.blocks
        ? 'block'
        : count !== leaves.length || (leaf.kind === 'this' && leaf.leaf >= count)
          ? 'leaf'
          : sites.find((site) => !known.has(site));
    if (wrong === undefined) return;
    throw new OptionError('E_OPTION_LETTER', `A letter asks for statistics of a ${wrong} that its run has not.`, {
      wrong,
    });
  };

  return {
    run: async (request) => {
      check(request);
      const leaf = await claim(request);
      if (leaf === undefined) return { leaf: null, sums: [] };
      const round = roundOf(request);
      const block = request.before.length;
      onProgress({ kind: 'stage', stage: `block ${block + 1}, leaf ${leaf + 1}`, total: block + 1 });
      const one = held.get(leaf) ?? (await open(leaf));
      // What is not finished is not kept.
      held.delete(leaf);
      await advance(one, request.before).catch((error) => {
        // Streams that moved along may be half behind a block.
        held.clear();
        throw error;
      });
      const sums = Object.entries(await measure(one, request)).map(async ([name, values]) => ({
        name,
        type: values instanceof Float32Array ? ('f32' as const) : ('f64' as const),
        length: values.length,
        parts: await putNumbers(store, run, round, values),
      }));
      const result = { leaf, sums: await Promise.all(sums) };
      held.set(leaf, one);
      onProgress({ kind: 'advance' });
      return result;
    },
  };
}
