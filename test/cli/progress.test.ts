import { describe, expect, test } from 'vitest';
import { formatSeconds, formatTable } from '../../src/cli/format.js';
import { createProgress, describeStage } from '../../src/cli/progress.js';

describe('a stage’s line', () => {
  const stage = { name: 'trial: β = 0.01', total: 12, began: 0, done: 0 };

  test('before the first block there is no rate to tell', () => {
    expect(describeStage(stage, 500)).toBe('trial: β = 0.01 · block 1 of 12');
  });

  test('then rate and remaining time of the stage', () => {
    expect(describeStage({ ...stage, done: 4 }, 2000)).toBe(
      'trial: β = 0.01 · block 5 of 12 · 2.0 blocks/s · 4.0 s left',
    );
    expect(describeStage({ ...stage, done: 4 }, 400_000)).toBe(
      'trial: β = 0.01 · block 5 of 12 · 1 min 40 s a block · 13 min 20 s left',
    );
  });

  test('bytes: how many of how many, how fast, how long yet', () => {
    const download = { name: 'downloading org/model', total: 4_000_000_000, unit: 'bytes' as const, began: 0, done: 0 };
    expect(describeStage(download, 500)).toBe('downloading org/model · 0 B of 4.00 GB');
    expect(describeStage({ ...download, done: 1_000_000_000 }, 10_000)).toBe(
      'downloading org/model · 1.00 GB of 4.00 GB · 100 MB/s · 30 s left',
    );
  });

  test('what is counted is named where it is no block', () => {
    expect(describeStage({ ...stage, name: 'tasks', unit: 'request', done: 4 }, 2000)).toBe(
      'tasks · request 5 of 12 · 2.0 requests/s · 4.0 s left',
    );
  });

  test('a stage without steps is its name', () => {
    expect(describeStage({ ...stage, name: 'writing', total: undefined }, 9000)).toBe('writing');
  });
});

test('without a terminal: a line per stage and note, and one now and then inside a long stage', () => {
  const written: string[] = [];
  let now = 0;
  const stream = { isTTY: false, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const { onProgress, end } = createProgress(stream, () => now);
  onProgress({ kind: 'stage', stage: 'dense', total: 40 });
  for (let block = 0; block < 39; block++) {
    now += 1000;
    onProgress({ kind: 'advance' });
  }
  onProgress({ kind: 'note', text: 'β = 0: 7.1' });
  end();
  expect(written.join('').split('\n')).toEqual([
    'dense · block 1 of 40',
    'dense · block 11 of 40 · 1.0 blocks/s · 30 s left',
    'dense · block 21 of 40 · 1.0 blocks/s · 20 s left',
    'dense · block 31 of 40 · 1.0 blocks/s · 10 s left',
    'β = 0: 7.1',
    '',
  ]);
});

test('durations and tables as people read them', () => {
  expect([0.05, 12.4, 61, 3725].map(formatSeconds)).toEqual(['0.1 s', '12 s', '1 min 1 s', '1 h 2 min']);
  expect(
    formatTable([
      ['a', '1'],
      ['long', '10'],
    ]),
  ).toBe('a      1\nlong  10');
});
