// Text from tokens as they arrive. A token may end inside a character, and its text may depend on its neighbours (a first
// space that is stripped). So a short window is decoded again with each token, and its new, settled text is emitted:
// everything but a final U+FFFD, the only place where the next byte can still change the text.

import { countCharacters } from '../base/portable.js';
import type { Codec } from '../text/index.js';
import { createStopFilter } from './stops.js';

export interface Detokeniser {
  /** The text that one more token settles. */
  push(token: number): string;
  /** The text that was held back: a partial character, as U+FFFD. */
  flush(): string;
}

const REPLACEMENT = '\ufffd';
const CONTEXT = 8; // tokens that stay in the window as neighbours
const LONGEST = 32; // bytes that never form a character must not make the window grow

/** Continues the text of `context`, tokens whose own text is not emitted. */
export function createDetokeniser(codec: Codec, context: readonly number[] = []): Detokeniser {
  let window = context.slice(-CONTEXT);
  let told = settled(codec.decodeSoFar(window)).length;
  return {
    push(token) {
      const before = window;
      window = [...before, token];
      let text = codec.decodeSoFar(window);
      const piece = settled(text).slice(told);
      if (text.endsWith(REPLACEMENT) && window.length < LONGEST) {
        told += piece.length;
        return piece;
      }
      // Restart the window a few tokens back. Nothing is emitted twice, because both windows end in the same text.
      const held = text.length - told - piece.length;
      window = window.slice(-CONTEXT);
      text = codec.decodeSoFar(window);
      told = text.length - held;
      return piece;
    },
    flush() {
      const rest = codec.decodeSoFar(window).slice(told);
      told += rest.length;
      return rest;
    },
  };
}

const settled = (text: string): string => (text.endsWith(REPLACEMENT) ? text.slice(0, -1) : text);

export type Piece = { readonly text: string; readonly stopped: boolean };

/** A filter that never shows part of a stop string. */
export interface TextStream {
  /** Characters (code points) of all text so far, shown or held back; the next token begins here. */
  readonly length: number;
  push(token: number): Piece;
  /** The end: returns what was held back in case more came. */
  flush(): Piece;
}

/** A detokeniser behind a stop filter. */
export function createTextStream(codec: Codec, context: readonly number[], stops: readonly string[]): TextStream {
  const detokeniser = createDetokeniser(codec, context);
  const filter = createStopFilter(stops);
  let length = 0;
  const pass = (text: string): Piece => {
    length += countCharacters(text);
    return filter.push(text);
  };
  return {
    get length() {
      return length;
    },
    push: (token) => pass(detokeniser.push(token)),
    flush: () => {
      const { text, stopped } = pass(detokeniser.flush());
      return { text: stopped ? text : text + filter.flush(), stopped };
    },
  };
}
