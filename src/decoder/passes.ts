// Splits a step's parts into passes, each with as many tokens and wanted logits as the buffers hold. Parts keep their
// order, and one part may span several passes.

import type { Limits, StepRun } from './backend.js';
import type { StepPart } from './decoder.js';

/** One pass: its tokens, their positions, and the tokens picked for logits. */
export type Pass = {
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  readonly runs: readonly StepRun[];
  /** Rows of the pass, each with the part that gets its logits. */
  readonly picks: readonly { readonly row: number; readonly part: number }[];
};

type Draft = { tokens: number[]; positions: number[]; runs: StepRun[]; picks: { row: number; part: number }[] };

/** `lengths`: how many positions each part's sequence has so far. */
export function splitPasses(
  parts: readonly StepPart[],
  lengths: readonly number[],
  limits: Pick<Limits, 'tokens' | 'picked'>,
): readonly Pass[] {
  const passes: Draft[] = [];
  const open = (): Draft => {
    const draft = { tokens: [], positions: [], runs: [], picks: [] };
    passes.push(draft);
    return draft;
  };
  let draft = open();
  for (const [part, { sequence, tokens, logits }] of parts.entries()) {
    for (let done = 0; done < tokens.length; ) {
      const wanted = logits === 'all';
      const free = Math.min(
        limits.tokens - draft.tokens.length,
        wanted ? limits.picked - draft.picks.length : Number.POSITIVE_INFINITY,
      );
      // The last token's logits also need a row.
      const full = free === 0 || (logits === 'last' && draft.picks.length === limits.picked);
      if (full) {
        draft = open();
        continue;
      }
      const count = Math.min(free, tokens.length - done);
      const from = draft.tokens.length;
      const start = lengths[part]! + done;
      draft.runs.push({ sequence, start, from, count });
      for (let i = 0; i < count; i++) {
        draft.tokens.push(tokens[done + i]!);
        draft.positions.push(start + i);
        if (wanted) draft.picks.push({ row: from + i, part });
      }
      done += count;
      if (logits === 'last' && done === tokens.length) draft.picks.push({ row: from + count - 1, part });
    }
  }
  return passes.filter(({ tokens }) => tokens.length > 0);
}
