// Data sets by name: which file, which documents, joined how. The files are small ones of the same form as the real ones.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { DATA_SETS, resolveText, type TextRole } from '../../src/hub/index.js';
import { readCorpus } from '../../src/text/index.js';
import { makeFolder, settingsOf, useHub } from './make.js';

const state = useHub();
const silent = (): void => {};
const ROLES: readonly TextRole[] = ['calibration', 'validation', 'test'];

const lines = (count: number, word: string): Buffer =>
  gzipSync(Array.from({ length: count }, (_, i) => `${JSON.stringify({ text: `${word} ${i}`, url: 'x' })}\n`).join(''));

async function read(name: string, role: TextRole): Promise<{ text: string; name: string | undefined; hash: string }> {
  const source = await resolveText(name, role, silent, settingsOf(state));
  const { text, hash } = await readCorpus(source.path, source.selection);
  return { text, hash, name: source.name };
}

test('c4: the head of the first train shard; what chooses is not what is reported', async () => {
  const files = {
    'en/c4-train.00000-of-01024.json.gz': lines(5003, 'train'),
    'en/c4-validation.00000-of-00008.json.gz': lines(3000, 'held'),
  };
  state.hub.put('allenai/c4', files, { type: 'datasets' });
  const [calibration, validation, held] = [
    await read('c4', 'calibration'),
    await read('c4', 'validation'),
    await read('c4', 'test'),
  ];
  expect(calibration.text.split('\n\n')).toHaveLength(5000);
  expect(calibration.text).toMatch(/^train 0\n\ntrain 1\n\n/);
  expect(held.text).toMatch(/^held 0 held 1 .* held 1099$/);
  expect(validation.text).toMatch(/^held 1100 held 1101 .* held 2199$/);
  expect(new Set([calibration, validation, held].map(({ hash }) => hash)).size).toBe(3);
  expect(held.name).toBe('c4 (test)');
});

test('wikitext2: the three splits, lines joined by an empty line', async () => {
  const parquet = await readFile(new URL('../golden/text/documents.parquet', import.meta.url));
  const files = Object.fromEntries(
    ['train', 'validation', 'test'].map((split) => [`wikitext-2-raw-v1/${split}-00000-of-00001.parquet`, parquet]),
  );
  state.hub.put('Salesforce/wikitext', files, { type: 'datasets' });
  for (const role of ROLES) {
    expect((await read('wikitext2', role)).text).toBe(
      'First document.\n\nZweites Dokument, ÄÖÜ.\n\nthird\nwith two lines',
    );
  }
  const asked = state.hub.requests
    .filter(({ path }) => path.includes('/paths-info/'))
    .map(({ body }) => body.toString());
  expect(asked.map((body) => /1\/(\w+)-/.exec(body)![1])).toEqual(['train', 'validation', 'test']);
});

test('ptb: sentences joined by spaces, from the branch that the Hub converts', async () => {
  const parquet = await readFile(new URL('../golden/text/sentences.parquet', import.meta.url));
  const files = { 'penn_treebank/test/0000.parquet': parquet };
  state.hub.put('ptb-text-only/ptb_text_only', files, { type: 'datasets', ref: 'refs/convert/parquet' });
  expect((await read('ptb', 'test')).text).toBe(
    "no it was n't black monday but while the new york stock exchange <unk>",
  );
});

describe('where it comes from', () => {
  const file = 'en/c4-validation.00000-of-00008.json.gz';

  test('a file of that name wins', async () => {
    const folder = await makeFolder();
    const before = process.cwd();
    process.chdir(folder);
    try {
      await writeFile('c4', 'text');
      expect(await resolveText('c4', 'test', silent, settingsOf(state))).toEqual({ path: 'c4' });
      await rm('c4');
      await mkdir('c4');
      expect(await resolveText('c4', 'test', silent, settingsOf(state))).toEqual({ path: 'c4' });
    } finally {
      process.chdir(before);
    }
    expect(await resolveText('./a.txt', 'test', silent, settingsOf(state))).toEqual({ path: './a.txt' });
    expect(await resolveText('constructor', 'test', silent, settingsOf(state))).toEqual({ path: 'constructor' });
    expect(state.hub.requests).toEqual([]);
  });

  test('offline from the cache; what it lacks is named', async () => {
    const offline = settingsOf(state, { HF_HUB_OFFLINE: '1' });
    await expect(resolveText('c4', 'test', silent, offline)).rejects.toMatchObject({
      code: 'E_REMOTE_OFFLINE',
      facts: { missing: [file] },
    });
    state.hub.put('allenai/c4', { [file]: lines(3, 'x') }, { type: 'datasets' });
    const { path } = await resolveText('c4', 'test', silent, settingsOf(state));
    expect(path).toContain(join('hub', 'datasets--allenai--c4', 'snapshots'));
    expect((await resolveText('c4', 'test', silent, offline)).path).toBe(path);
  });

  test('a repository that has lost the file is said to have', async () => {
    state.hub.put('allenai/c4', { README: 'x' }, { type: 'datasets' });
    await expect(resolveText('c4', 'test', silent, settingsOf(state))).rejects.toMatchObject({
      code: 'E_REMOTE_NOT_FOUND',
      message: expect.stringContaining(file),
    });
  });
});

test('every set has a part for every role, in a format that is read', () => {
  for (const { splits } of Object.values(DATA_SETS)) {
    for (const role of ROLES) expect(splits[role].file).toMatch(/\.(parquet|json\.gz)$/);
  }
});
