// Whether kernels ask for memory before they need it (kernels/runtime/ahead.as.ts). It is faster on some processors and
// slower on others, and no probe at load could say: V8 has compiled nothing well by then, and memory that was never written
// is not read like weights. So the first short passes take turns with it and without, and their times decide. Only
// times change, never results.

/** `measure` decides by the first passes. */
export type Ahead = 'measure' | 'always' | 'never';

type Pass = { readonly tokens: number; readonly picked: number; readonly ahead: boolean };

export type AheadChoice = {
  /** Whether the next pass asks ahead. */
  next(): boolean;
  /** Tells how long a pass took, in milliseconds. */
  took(pass: Pass, time: number): void;
};

/** Passes before the first that counts, while V8 compiles. */
const WARMING = 4;
/** Passes that count, of each kind; their median decides. */
const PASSES = 6;
/** Longer passes are bound by arithmetic. */
const MOST_TOKENS = 4;

export function chooseAhead(ahead: Ahead): AheadChoice {
  if (ahead !== 'measure') return { next: () => ahead === 'always', took: () => {} };
  let settled: boolean | undefined;
  let warming = WARMING;
  let kind = '';
  const times = { on: [] as number[], off: [] as number[] };
  // On, off, off, on: attention grows from pass to pass, by as much for one as for the other.
  const turn = (): boolean => ((times.on.length + times.off.length + 1) & 2) === 0;
  return {
    next: () => settled ?? turn(),
    took: ({ tokens, picked, ahead: on }, time) => {
      if (settled !== undefined || tokens > MOST_TOKENS) return;
      if (warming-- > 0) return;
      const now = `${tokens} ${picked}`;
      if (now !== kind) {
        // Passes of another size cannot be compared with these.
        kind = now;
        times.on.length = 0;
        times.off.length = 0;
        if (!on) return;
      }
      times[on ? 'on' : 'off'].push(time);
      if (times.on.length === PASSES && times.off.length === PASSES) settled = median(times.on) <= median(times.off);
    },
  };
}

export const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;
