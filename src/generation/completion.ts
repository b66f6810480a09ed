// Text for a prompt: tokens from the scheduler go through a detokeniser and stop strings. Text that is held back (part of a
// character, a possible stop string) comes with the next piece, together with its tokens’ scores.

import { countCharacters } from '../base/portable.js';
import type { Codec } from '../text/index.js';
import { createTextStream } from './detokenise.js';
import type { Finish, SequenceRequest } from './request.js';
import type { Scheduler } from './scheduler.js';
import type { ScoredToken } from './scores.js';

export type CompletionRequest = Omit<SequenceRequest, 'onPrompt' | 'onToken'> & {
  /** Non-empty strings that end the text; they are not part of it. */
  readonly stops: readonly string[];
  /** Called for each token. */
  readonly onToken?: (() => void) | undefined;
  /** Receives each piece of text when it is settled, and at the end what was held back. */
  readonly onPiece?: ((piece: CompletionPiece) => void) | undefined;
};

/** A token's score and where in the generated text the token begins, in characters (code points). */
export type PlacedToken = ScoredToken & { readonly offset: number };

export type CompletionPiece = {
  readonly text: string;
  /** Scores of the tokens since the last piece; empty where no scores were requested. */
  readonly tokens: readonly PlacedToken[];
};

export type Completion = CompletionPiece & {
  readonly finish: Finish;
  /** Scores of the prompt's tokens from the second on, where requested. */
  readonly prompt: readonly ScoredToken[];
  /** The number of generated tokens, including those of a stop string but not a stop token. */
  readonly generated: number;
};

/** Completes all of the prompts or none. @throws as `Scheduler.submit`; the promises reject as it says */
export function complete(
  scheduler: Scheduler,
  codec: Codec,
  requests: readonly CompletionRequest[],
): readonly Promise<Completion>[] {
  const books = requests.map((request) => openBook(codec, request));
  const finishes = scheduler.submit(books.map(({ request }) => request));
  return finishes.map(async (finish, i) => books[i]!.close(await finish));
}

/** A request for the scheduler, and the record of its results. */
function openBook(codec: Codec, { stops, onPiece, onToken, ...request }: CompletionRequest) {
  const stream = createTextStream(codec, request.prompt, stops);
  const prompt: ScoredToken[] = [];
  const tokens: PlacedToken[] = [];
  let [text, length, told, generated, ended] = ['', 0, 0, 0, false];
  const show = (piece: string): void => {
    text += piece;
    length += countCharacters(piece);
    if (piece === '') return;
    onPiece?.({ text: piece, tokens: tokens.slice(told) });
    told = tokens.length;
  };
  return {
    request: {
      ...request,
      onPrompt: (scores: readonly ScoredToken[]) => void prompt.push(...scores),
      onToken: (token: number, score: ScoredToken | undefined): boolean => {
        generated++;
        onToken?.();
        if (score) tokens.push({ ...score, offset: stream.length });
        const { text: piece, stopped } = stream.push(token);
        if (stopped) dropAfter(tokens, length + countCharacters(piece), told);
        show(piece);
        ended = stopped;
        return stopped;
      },
    },
    close(finish: Finish): Completion {
      const { text: rest, stopped } = ended ? { text: '', stopped: true } : stream.flush();
      if (stopped) dropAfter(tokens, length + countCharacters(rest), told);
      text += rest;
      if (rest !== '' || told < tokens.length) onPiece?.({ text: rest, tokens: tokens.slice(told) });
      return { text, tokens, finish: stopped ? 'stop' : finish, prompt, generated };
    },
  };
}

/** Drops tokens that begin at or after the end of the text; those already reported stay. */
function dropAfter(tokens: PlacedToken[], end: number, told: number): void {
  while (tokens.length > told && tokens.at(-1)!.offset >= end) tokens.pop();
}
