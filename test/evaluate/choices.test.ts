// Loss and next-token accuracy of a text against plain arithmetic over the model's logits.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { scoreChoices } from '../../src/evaluate/index.js';
import { openModel } from '../../src/model/index.js';
import { embedWindows, passBlock } from '../../src/stream/index.js';
import { LENGTH, makeFolder, makeTiny, stutter, VOCABULARY } from '../api/make.js';
import { forwardLogits } from '../model/forward.js';
import { LOSS } from '../tolerances.js';

test('the mean loss, and the share of tokens whose logit is the largest', async () => {
  const model = await openModel(await makeTiny(join(await makeFolder(), 'tiny'), { blocks: 2 }));
  const bytes = new TextEncoder().encode(stutter(4, 70 * LENGTH));
  const windows = {
    length: LENGTH,
    windows: Array.from({ length: 70 }, (_, w) => Int32Array.from(bytes.subarray(w * LENGTH, (w + 1) * LENGTH))),
  };
  await withResources(async (own) => {
    const engine = await own(createOrtEngine({ device: 'cpu', workers: 2, threads: 1 }));
    const logits = await forwardLogits(engine, model, windows);
    const stream = await embedWindows(model, windows);
    for (let block = 0; block < 2; block++) await passBlock(engine, model, block, [[stream, stream]]);
    let [loss, right, tokens] = [0, 0, 0];
    for (const [w, window] of windows.windows.entries()) {
      for (let t = 0; t + 1 < LENGTH; t++) {
        const row = logits.subarray((w * LENGTH + t) * VOCABULARY, (w * LENGTH + t + 1) * VOCABULARY);
        const largest = Math.max(...row);
        const sum = row.reduce((all, value) => all + Math.exp(value - largest), 0);
        const own = row[window[t + 1]!]!;
        loss += Math.log(sum) + largest - own;
        if (own === largest) right++;
        tokens++;
      }
    }
    const got = await scoreChoices(engine, model, stream, windows);
    expect(Math.abs(got.nll - loss / tokens)).toBeLessThan(LOSS);
    expect(got).toMatchObject({ accuracy: right / tokens, tokens });
    expect(right).toBeGreaterThan(tokens / 4);
  });
});
