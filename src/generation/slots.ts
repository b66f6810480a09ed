// The decoder’s sequences, lent to one request at a time. A returned sequence keeps what it has read, so a request with the
// same beginning (the next turn of a conversation) computes only the rest. Such a sequence still counts as free, and the
// one unused for longest is overwritten first.

import { InternalError } from '../base/portable.js';
import type { Decoder } from '../decoder/index.js';

export type Slot = {
  readonly sequence: number;
  /** Positions that are already read, a prefix of the prompt: at most all but its last token, whose logits are needed. */
  readonly length: number;
};

export interface Slots {
  readonly free: number;
  /** Lends a sequence for `prompt`. With `reuse` false it starts empty. */
  acquire(prompt: readonly number[], reuse: boolean): Slot;
  /** Takes a sequence back that holds `tokens`; undefined where its contents are not reliable. */
  giveBack(sequence: number, tokens: readonly number[] | undefined): void;
  /** Releases the sequences that are not lent. */
  close(): void;
}

export function createSlots(decoder: Decoder): Slots {
  const idle: { readonly sequence: number; readonly tokens: readonly number[] }[] = []; // longest unused first
  let lent = 0;
  const unopened = (): number => decoder.info.sequences - lent - idle.length;

  const lend = (sequence: number, length: number): Slot => {
    lent++;
    return { sequence, length };
  };
  return {
    get free() {
      return decoder.info.sequences - lent;
    },
    acquire(prompt, reuse) {
      let [best, shared] = [-1, 0];
      for (const [i, { tokens }] of idle.entries()) {
        const length = reuse ? commonLength(tokens, prompt) : 0;
        if (length > shared) [best, shared] = [i, length];
      }
      // A long prefix is not given up for a few tokens while there is room.
      if (best >= 0 && (unopened() === 0 || shared >= idle[best]!.tokens.length / 2)) {
        const { sequence } = idle.splice(best, 1)[0]!;
        const length = Math.min(shared, prompt.length - 1);
        decoder.truncate(sequence, length);
        return lend(sequence, length);
      }
      if (unopened() > 0) return lend(decoder.open(), 0);
      const oldest = idle.shift();
      if (!oldest) throw new InternalError('E_INTERNAL_SLOTS', 'A sequence was requested while none was free.');
      decoder.truncate(oldest.sequence, 0);
      return lend(oldest.sequence, 0);
    },
    giveBack(sequence, tokens) {
      lent--;
      if (tokens === undefined) decoder.release(sequence);
      else idle.push({ sequence, tokens });
    },
    close() {
      for (const { sequence } of idle.splice(0)) decoder.release(sequence);
    },
  };
}

/** The length of the common prefix of two sequences. */
export function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
