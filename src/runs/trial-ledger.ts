// The trials of a search, in order: what was tried, what it came to, whose pruned blocks are still on disk. Searches ask
// it for losses; it knows nothing of how they choose. Candidates are what is left of their rates in whole weights, or in
// whole N of M under n:M: two that round to the same numbers are one trial.

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
  /** ln of the validation perplexity by the real procedure; the first one asked for is the baseline of all intervals. */
  exact(values: Values): Promise<number>;
  /** The same by the surrogate, on a sample of the validation windows. */
  surrogate(values: Values): Promise<number>;
  readonly entries: readonly Entry[];
  /** The first exact trial, and the best one; of equals the earlier. */
  first(): Entry;
  best(): Entry;
};

/** A book for as long as the scope is open. */
export async function createBook(
  own: Own,
  settings: PruneSettings,
  model: Model,
  trials: Trials,
  validation: Text,
  candidateAt: (values: Values) => Candidate,
): Promise<Book> {
  const entries: Entry[] = [];
  const sample = await sampleText(own, model, validation, SURROGATE_WINDOWS);
  const exactOnes = (): Entry[] => entries.filter(({ trial }) => trial.exact);
  const first = (): Entry => {
    const entry = exactOnes()[0];
    if (!entry) throw new InternalError('E_INTERNAL_SEARCH', 'A search asked for a result before any trial.');
    return entry;
  };
  /** How many weights of each linear go; and what candidates of those numbers came to. */
  const roundedOf = (candidate: Candidate): string => [...countsOf(settings, model, candidate.rateOf).values()].join();
  const known = { exact: new Map<string, number>(), surrogate: new Map<string, number>() };
  const once = async (
    losses: Map<string, number>,
    candidate: Candidate,
    make: () => Promise<number>,
  ): Promise<number> => {
    const rounded = roundedOf(candidate);
    const found = losses.get(rounded) ?? (await make());
    losses.set(rounded, found);
    return found;
  };
  const best = (): Entry => exactOnes().reduce((a, b) => (loss(b.trial) < loss(a.trial) ? b : a), first());

  return {
    entries,
    first,
    best,
    exact: async (values) => {
      const candidate = candidateAt(values);
      return await once(known.exact, candidate, async () => {
        const baseline = exactOnes()[0]?.trial;
        const held = baseline && best();
        const trial = await trials.exact(candidate, baseline?.validation.nll);
        entries.push({ candidate, trial });
        settings.onProgress({
          kind: 'note',
          text: `${describeValues(values)}: validation perplexity ${trial.validation.perplexity.toPrecision(5)}`,
        });
        // Only the baseline's and the best's pruned blocks stay on disk.
        const loser = held && (best().trial === held.trial ? candidate : held.candidate);
        if (loser && loser.key !== first().candidate.key && loser.key !== best().candidate.key) {
          await trials.discard(loser.key);
        }
        return loss(trial);
      });
    },
    surrogate: async (values) => {
      const candidate = candidateAt(values);
      return await once(known.surrogate, candidate, async () => {
        const nll = sample.indices.map((i) => first().trial.validation.nll[i]!);
        const trial = await trials.surrogate(candidate, sample.text, nll);
        entries.push({ candidate, trial });
        return loss(trial);
      });
    },
  };
}

const loss = (trial: TimedTrial): number => Math.log(trial.validation.perplexity);
