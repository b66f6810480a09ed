// The calibration text behind a checkpoint is found in the record of whatever made it.

import { expect, test } from 'vitest';
import { readCalibration } from '../../src/records/index.js';

const text = {
  ...{ name: 'c4', hash: 'a'.repeat(64), tokens: 100, windows: 4, length: 16 },
  ...{ order: 'random', bos: null },
};
const recordOf = (format: string): string => JSON.stringify({ format, texts: { calibration: text, validation: null } });

test.each(['run', 'drop', 'experts', 'cut', 'activations'])('layerwise-%s', (made) => {
  expect(readCalibration(recordOf(`layerwise-${made}`))).toEqual(text);
});

test('none where there is none, or no record', () => {
  const grown = { format: 'layerwise-grow', texts: { validation: text, test: text } };
  const none = { format: 'layerwise-drop', texts: { calibration: null } };
  for (const record of [JSON.stringify(grown), JSON.stringify(none), recordOf('other'), '{}', 'null', 'no JSON']) {
    expect(readCalibration(record)).toBeUndefined();
  }
});
