// The trials of a search, in order: what was tried, what it came to, whose pruned blocks are still on disk. Searches ask
// it for losses; it knows nothing of how they choose. Two candidates that round to the same numbers of weights (under n:M, of
// whole N of M) are one trial.

import { InternalError, type Own } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { Values } from '../plan/index.js';
import type { Text } from '../stream/index.js';
import { sampleText } from '../stream/index.js';
import type { PruneSettings } from './settings.js';
import { type Candidate, countsOf, describeValues, type TimedTrial, type Trials } from './trials.js';

/** Windows a surrogate scores. */
const SURROGATE_WINDOWS = 32;

export type Entry = { readonly candidate: Candidate; readonly trial: TimedTrial };

export type Book = {
  /** ln of the validation perplexity by the real procedure. */
  exact(values: Values): Promise<number>;
  /** The same by the surrogate, on a sample of the validation windows. */
  surrogate(values: Values): Promise<number>;
  /** All that was tried; the first is uniform, the baseline of all intervals. */
  readonly entries: readonly Entry[];
  readonly baseline: Entry;
  /** The best of what was asked for exactly; of equals the earlier. Uniform is among them only where a search asked for it. */
  best(): Entry;
};

/** A book for as long as the scope is open; it begins with `uniform`, tried exactly. */
export async function createBook(
  own: Own,
  settings: PruneSettings,
  model: Model,
  trials: Trials,
  validation: Text,
  uniform: Candidate,
  candidateAt: (values: Values) => Candidate,
): Promise<Book> {
  const entries: Entry[] = [];
  /** What may be chosen, in order. */
  const eligible: Entry[] = [];
  /** Exact trials and surrogates' losses, by how many weights of each linear go. */
  const tried = new Map<string, Entry>();
  const estimates = new Map<string, number>();
  const roundedOf = (candidate: Candidate): string => [...countsOf(settings, model, candidate.rateOf).values()].join();
  const sample = await sampleText(own, model, validation, SURROGATE_WINDOWS);
  const run = async (candidate: Candidate): Promise<Entry> => {
    const entry = { candidate, trial: await trials.exact(candidate, entries[0]?.trial.validation.nll) };
    entries.push(entry);
    tried.set(roundedOf(candidate), entry);
    settings.onProgress({
      kind: 'note',
      text: `${describeValues(candidate.values) || candidate.key}: validation perplexity ${entry.trial.validation.perplexity.toPrecision(5)}`,
    });
    return entry;
  };
  const best = (): Entry => {
    if (eligible.length === 0) throw new InternalError('E_INTERNAL_SEARCH', 'A search asked for a result too early.');
    return eligible.reduce((a, b) => (loss(b.trial) < loss(a.trial) ? b : a));
  };
  const baseline = await run(uniform);

  return {
    entries,
    baseline,
    best,
    exact: async (values) => {
      const candidate = candidateAt(values);
      const known = tried.get(roundedOf(candidate));
      if (known) {
        // What is on disk lies under the key of the trial that was run.
        const { key } = known.candidate;
        if (!eligible.some((entry) => entry.candidate.key === key)) {
          eligible.push({ candidate: { ...candidate, key }, trial: known.trial });
        }
        return loss(known.trial);
      }
      const held = eligible.length > 0 ? best() : undefined;
      const entry = await run(candidate);
      eligible.push(entry);
      // Only the baseline's and the best's pruned blocks stay on disk.
      const loser = held && (best() === held ? candidate : held.candidate);
      if (loser && loser.key !== baseline.candidate.key) await trials.discard(loser.key);
      return loss(entry.trial);
    },
    surrogate: async (values) => {
      const candidate = candidateAt(values);
      const rounded = roundedOf(candidate);
      const known = estimates.get(rounded);
      if (known !== undefined) return known;
      const nll = sample.indices.map((i) => baseline.trial.validation.nll[i]!);
      const trial = await trials.surrogate(candidate, sample.text, nll);
      entries.push({ candidate, trial });
      estimates.set(rounded, loss(trial));
      return loss(trial);
    },
  };
}

const loss = (trial: TimedTrial): number => Math.log(trial.validation.perplexity);
