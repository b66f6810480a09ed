// Whole texts, each of which a trunk makes one vector of (CLIP, SigLIP): the row that is read of each, and how much its rows count in
// statistics. CLIP reads the row of the end token, and nothing sees what follows it. SigLIP reads the last row, and every row sees the
// pads, so a text has to be as long as those that the model was trained on.

import { OptionError, type Own } from '../base/index.js';
import type { Classes, Model } from '../model/index.js';
import type { Windows } from '../text/index.js';
import type { Activations } from './activations.js';
import { countFirst, type Importance } from './importance.js';

/** Captions, whose classes are the images of their set: `labels` has the number of each one's image. */
export type Captions = Windows & { readonly labels: Int32Array; readonly classes: Classes };

/**
 * The row of each text that the head reads; undefined where it reads all rows, or the last.
 * @throws OptionError E_OPTION_TEXT_LENGTH, E_OPTION_TEXT_END
 */
export function endsOf({ config }: Model, { windows, length }: Windows): Int32Array | undefined {
  const { embeds, maxPositions, family } = config;
  const row = embeds?.spec.row;
  if (embeds === undefined || row === undefined) return undefined;
  if (length > maxPositions || (row === 'last' && length !== maxPositions)) {
    const most = row === 'last' ? `${maxPositions}, pads included` : `at most ${maxPositions}`;
    throw new OptionError(
      'E_OPTION_TEXT_LENGTH',
      `The texts have ${length} tokens; a ${family} reads ${most}. Shorten them, or pad them.`,
      { length, most: maxPositions },
    );
  }
  if (row === 'last') return undefined;
  const { end } = embeds;
  return Int32Array.from(windows, (tokens, at) => {
    const place = tokens.indexOf(end === 'largest' ? tokens.reduce((a, b) => Math.max(a, b)) : end!);
    if (place >= 0) return place;
    throw new OptionError(
      'E_OPTION_TEXT_END',
      `Text ${at} has no end token (${end}), whose row the model reads. Give whole texts, such as captions, with the tokens around them that tokenizer.json adds.`,
      { text: at, end },
    );
  });
}

/** A weight of 0 for every row after a text's end, at every tap; undefined where there is no such row. `own` closes the store. */
export async function weighEnds(own: Own, model: Model, embedded: Activations): Promise<Importance | undefined> {
  const { ends, length: T, chunks } = embedded;
  if (!ends || ends.every((end) => end === T - 1)) return undefined;
  return await countFirst(
    own,
    model,
    chunks,
    T,
    ends.map((end) => end + 1),
  );
}
