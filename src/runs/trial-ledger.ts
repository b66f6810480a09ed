// The trials of a search in the order of its walk: candidates, outcomes, and whose treated blocks are still on disk. It
// computes the intervals, because it knows the baseline. It asks a searcher for candidates and tells it the losses.

import { InternalError, type OnProgress } from '../base/index.js';
import { summarise } from '../evaluate/index.js';
import { sharesOf } from '../pipeline/index.js';
import { blockRates, type ModelFacts, type Values } from '../plan/index.js';
import { pairedInterval, type Trial } from '../records/index.js';
import type { Searcher } from '../search/index.js';
import type { Scoring } from '../stream/index.js';
import { wordsOfLoss } from '../words/index.js';
import type { Candidate, RequestOf } from './candidate.js';
import { describeCandidate } from './describe.js';
import type { LocalExecutor } from './executor.js';
import { surrogateSample } from './samples.js';
import { type Digest, requestDigest, type TrialOutcome, type TrialRequest } from './trial.js';

export type TimedTrial = Trial & { readonly seconds: number };

export type Entry = {
  readonly candidate: Candidate;
  readonly request: TrialRequest;
  /** Of the request: a plan of many experts is long, and this is asked for often. */
  readonly digest: Digest;
  readonly trial: TimedTrial;
};

type Asked = Omit<Entry, 'trial'>;

export type Ledger = {
  /** Runs an exact trial of a candidate. The first one is the baseline of all intervals. */
  run(candidate: Candidate): Promise<Entry>;
  /**
   * Runs a search to its end. Of equally good candidates the earlier one is the best. The treated blocks of `keep`, of the
   * baseline and of the best stay on disk.
   */
  search(searcher: Searcher, candidateAt: (values: Values) => Candidate, keep?: readonly Digest[]): Promise<Entry>;
  /** All trials. */
  readonly entries: readonly Entry[];
};

export type LedgerContext = {
  readonly executor: LocalExecutor;
  readonly requestOf: RequestOf;
  readonly facts: ModelFacts;
  /** What is scored of a validation sample; undefined without any. */
  readonly scoring: Scoring | undefined;
  readonly onProgress: OnProgress;
};

export function createLedger({ executor, requestOf, facts, scoring = { rows: 0 }, onProgress }: LedgerContext): Ledger {
  const entries: Entry[] = [];
  const tried = new Map<string, Entry>();
  const outcomes = new Map<string, Promise<TrialOutcome>>();
  const running = new Set<Promise<void>>();

  const askedOf = (candidate: Candidate, fidelity: TrialRequest['fidelity'], windows?: number): Asked => {
    const request = requestOf(candidate, fidelity, 'likelihood', windows);
    return { candidate, request, digest: requestDigest(request) };
  };

  /** Starts a trial, or returns the running one. */
  const start = ({ request, digest, candidate }: Asked, signal?: AbortSignal): Promise<TrialOutcome> => {
    const begun = outcomes.get(digest);
    if (begun) return begun;
    const outcome = executor.run(request, { label: describeCandidate(candidate), signal });
    outcomes.set(digest, outcome);
    const ended = outcome.then(
      () => void running.delete(ended),
      () => {
        running.delete(ended); // the caller that awaits the outcome gets the error
        outcomes.delete(digest);
      },
    );
    running.add(ended);
    return outcome;
  };

  /** Records an outcome, once. */
  const enter = ({ candidate, request, digest }: Asked, outcome: TrialOutcome): Entry => {
    const known = tried.get(digest);
    if (known) return known;
    const exact = request.fidelity === 'exact';
    const { losses, calibrationLosses, divergences, errors, seconds } = outcome;
    const baseline = entries[0]?.trial.validation.nll ?? losses;
    const paired = exact ? baseline : surrogateSample(baseline.length, request.windows).map((i) => baseline[i]!);
    const trial = {
      beta: candidate.values.beta ?? null,
      hyperparameters: { ...candidate.values },
      ...(candidate.target ? { target: sharesOf(candidate.target) } : {}),
      rates: blockRates(candidate.plan, facts),
      exact,
      validation: summarise(losses, scoring),
      ...(calibrationLosses ? { calibration: summarise(calibrationLosses, scoring) } : {}),
      ...(divergences ? { divergence: [...divergences] } : {}),
      interval: pairedInterval(losses, paired),
      errors: [...errors],
      seconds,
    };
    const entry = { candidate, request, digest, trial };
    entries.push(entry);
    tried.set(digest, entry);
    return entry;
  };

  const run = async (candidate: Candidate): Promise<Entry> => {
    const asked = askedOf(candidate, 'exact');
    return enter(asked, await start(asked));
  };

  /** Runs a search to its end. Collects in `eligible` the entries that may be chosen. */
  const walk = async (
    searcher: Searcher,
    candidateAt: (values: Values) => Candidate,
    eligible: Entry[],
    keep: readonly Digest[],
    over: AbortSignal,
  ): Promise<void> => {
    const kept = [entries[0]?.digest, ...keep];
    for (;;) {
      const asks = searcher.ask(executor.slots);
      const [ask] = asks;
      if (!ask) return;
      const asked = asks.map(({ values, fidelity, windows }) => askedOf(candidateAt(values), fidelity, windows));
      const [next, ...others] = asked as [Asked, ...Asked[]];
      // The walk's next ask waits for a slot. Asks that may follow use only free slots.
      while (!outcomes.has(next.digest) && running.size >= executor.slots) await Promise.race(running);
      const outcome = start(next, over);
      for (const other of others) if (running.size < executor.slots) start(other, over);
      const isNew = !tried.has(next.digest);
      // The blocks on disk are those of the trial that ran; the plan is that of this candidate.
      const entry = { ...enter(next, await outcome), candidate: next.candidate };
      searcher.tell(ask, lossOf(entry));
      if (ask.fidelity === 'surrogate') continue;
      if (isNew) noteTrial(entry, onProgress);
      const held = bestOf(eligible);
      if (!eligible.some((one) => one.digest === entry.digest)) eligible.push(entry);
      const loser = held && (bestOf(eligible) === held ? entry : held);
      if (loser && isNew && !kept.includes(loser.digest)) await executor.blocks.discard(loser.digest);
    }
  };

  return {
    entries,
    run,
    search: async (searcher, candidateAt, keep = []) => {
      const eligible: Entry[] = [];
      // Trials that a search began ahead are not needed once it has ended.
      const over = new AbortController();
      try {
        await walk(searcher, candidateAt, eligible, keep, over.signal);
      } finally {
        // Wait for all running trials before the run continues or fails.
        over.abort();
        await Promise.all(running);
      }
      for (const digest of outcomes.keys()) if (!tried.has(digest)) await executor.blocks.discard(digest);
      const best = bestOf(eligible);
      if (!best) throw new InternalError('E_INTERNAL_SEARCH', 'A search ended without a trial.');
      return best;
    },
  };
}

export function noteTrial({ candidate, trial }: Entry, onProgress: OnProgress): void {
  const { name, format } = wordsOfLoss(trial.validation);
  const other = trial.calibration
    ? `, calibration ${format(trial.calibration)}`
    : trial.divergence
      ? `, KL to dense ${mean(trial.divergence).toPrecision(4)}`
      : '';
  onProgress({
    kind: 'note',
    text: `${describeCandidate(candidate)}: validation ${name} ${format(trial.validation)}${other}`,
  });
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const bestOf = (entries: readonly Entry[]): Entry | undefined =>
  entries.reduce<Entry | undefined>((a, b) => (a && lossOf(a) <= lossOf(b) ? a : b), undefined);

/**
 * What a search minimises: KL to the dense model where that judges, else the logarithm of the perplexity; where both texts judge, the
 * mean of both logarithms, so that their gains count alike.
 */
export const lossOf = ({ trial: { validation, calibration, divergence } }: Pick<Entry, 'trial'>): number => {
  if (divergence) return mean(divergence);
  const loss = Math.log(validation.perplexity);
  return calibration ? (loss + Math.log(calibration.perplexity)) / 2 : loss;
};
