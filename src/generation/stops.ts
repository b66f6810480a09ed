// Finds stop strings in text that arrives in pieces. Text that may be the beginning of one is held back until it is
// decided. Of several, the first complete one ends the text (if two are, the longest), so the result does not depend on how
// the text was cut into pieces.

export interface StopFilter {
  /** Text that may be shown, and whether a stop string follows it; after that, nothing more comes. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back. */
  flush(): string;
}

/** Stop strings must not be empty. */
export function createStopFilter(stops: readonly string[]): StopFilter {
  let held = '';
  return {
    push(text) {
      held += text;
      const start = firstStop(held, stops);
      const shown = start ?? held.length - Math.max(0, ...stops.map((stop) => overlap(held, stop)));
      const out = held.slice(0, shown);
      held = start === undefined ? held.slice(shown) : '';
      return { text: out, stopped: start !== undefined };
    },
    flush() {
      const out = held;
      held = '';
      return out;
    },
  };
}

/** The place of the stop string that is complete first. */
function firstStop(text: string, stops: readonly string[]): number | undefined {
  let [start, end] = [undefined as number | undefined, Number.POSITIVE_INFINITY];
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at < 0 || at + stop.length > end || (at + stop.length === end && at > start!)) continue;
    [start, end] = [at, at + stop.length];
  }
  return start;
}

/** The length of the longest end of `text` that is a proper prefix of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
