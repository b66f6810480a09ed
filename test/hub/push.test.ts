// Uploads: what is checked before, what arrives, what the card says, and what is left where it fails.

import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ProgressEvent } from '../../src/base/index.js';
import { checkPush, pushFolder, renderCard } from '../../src/hub/index.js';
import { type CutRecord, type DropRecord, type ExpertsRecord, parsePushedRecord } from '../../src/records/index.js';
import { makeManifest } from '../report/manifest.js';
import { makeFolder, settingsOf, useHub, WEIGHTS } from './make.js';

const state = useHub();
const TOKEN = { HF_TOKEN: 'hf_mine' };
const silent = (): void => {};

function login(user: { name: string; orgs?: unknown[]; role?: string } = { name: 'me' }): void {
  state.hub.users.set('hf_mine', user);
}

async function makeRun(): Promise<string> {
  const dir = await makeFolder();
  await mkdir(join(dir, 'extra'));
  await mkdir(join(dir, '.cache'));
  const files = {
    'config.json': '{}',
    'model.safetensors': WEIGHTS,
    'layerwise.json': JSON.stringify(makeManifest(4)),
    'README.md': '---\nlicense: mit\n---\nof the source',
    'extra/a.txt': 'a',
    '.cache/x': 'x',
    '.gitattributes': '',
  };
  for (const [name, data] of Object.entries(files)) await writeFile(join(dir, name), data);
  return dir;
}

const upload = (dir: string, repo = 'me/model', hidden = false) =>
  pushFolder(dir, { repo, private: hidden }, '# card', silent, settingsOf(state, TOKEN));

describe('beforehand', () => {
  const check = (repo: string, more: Readonly<Record<string, string>> = TOKEN, hidden = false) =>
    checkPush({ repo, private: hidden }, settingsOf(state, more));

  test.each([
    ['no name', 'model', TOKEN, /as org\/name/],
    ['a path', '../me/model', TOKEN, /as org\/name/],
    ['a revision', 'me/model@main', TOKEN, /as org\/name/],
    ['no token', 'me/model', {}, /HF_TOKEN/],
    ['offline', 'me/model', { ...TOKEN, HF_HUB_OFFLINE: '1' }, /HF_HUB_OFFLINE/],
    ['somebody else’s', 'you/model', TOKEN, /belongs to me, who cannot write to you; expected one of me, team/],
    ['an organisation where one may only read', 'team/model', TOKEN, /may only read/],
  ])('%s', async (_, repo, more, message) => {
    login({ name: 'me', orgs: [{ type: 'org', name: 'team', roleInOrg: 'read' }] });
    await expect(check(repo, more)).rejects.toMatchObject({
      code: 'E_OPTION_PUSH',
      message: expect.stringMatching(message),
    });
  });

  test('a token that may only read, or is refused', async () => {
    await expect(check('me/model')).rejects.toMatchObject({ code: 'E_REMOTE_REFUSED' });
    login({ name: 'me', role: 'read' });
    await expect(check('me/model')).rejects.toMatchObject({ message: expect.stringMatching(/may only read/) });
  });

  test('nothing is private that is public already', async () => {
    login();
    state.hub.put('me/model', { a: 'x' });
    await check('me/model');
    await expect(check('me/model', TOKEN, true)).rejects.toMatchObject({ code: 'E_OPTION_PRIVATE' });
    await check('me/new', TOKEN, true);
    expect(state.hub.repos.has('me/new')).toBe(false); // checking makes nothing
  });
});

describe('an upload', () => {
  test('every file, in one commit, large ones by LFS, the card as README.md', async () => {
    login();
    const { url, commit } = await upload(await makeRun(), 'me/model', true);
    expect(url).toBe(`${state.hub.endpoint}/me/model`);
    const repo = state.hub.repos.get('me/model')!;
    expect(repo.private).toBe(true);
    expect(repo.refs.get('main')).toBe(commit);
    expect(repo.commits.size).toBe(2);
    const files = state.hub.files('me/model');
    const names = ['.gitattributes', 'README.md', 'config.json', 'extra/a.txt', 'layerwise.json', 'model.safetensors'];
    expect([...files.keys()].sort()).toEqual(names);
    expect(files.get('model.safetensors')).toEqual(WEIGHTS);
    expect(files.get('README.md')!.toString()).toBe('# card');
    const puts = state.hub.requests.filter(({ method }) => method === 'PUT');
    expect(puts.map(({ where }) => where)).toEqual(['cdn', 'cdn']); // the weights and the record
    for (const { headers } of puts) expect(headers.authorization).toBeUndefined();
  });

  test('in parts, where the server wants parts', async () => {
    login();
    state.hub.part = 100_000;
    await upload(await makeRun());
    expect(state.hub.files('me/model').get('model.safetensors')).toEqual(WEIGHTS);
    expect(state.hub.requests.filter(({ path }) => /\?part=/.test(path)).length).toBeGreaterThanOrEqual(3);
  });

  test('progress, in bytes', async () => {
    login();
    const events: ProgressEvent[] = [];
    const dir = await makeRun();
    await pushFolder(dir, { repo: 'me/model' }, '', (event) => events.push(event), settingsOf(state, TOKEN));
    expect(events).toContainEqual({
      kind: 'stage',
      stage: 'uploading to me/model',
      total: expect.any(Number),
      unit: 'bytes',
    });
    expect(events).toContainEqual({ kind: 'advance', by: WEIGHTS.length });
  });

  test('again: what is there already is not sent; weights of another shape do not stay', async () => {
    login();
    state.hub.put('me/model', {
      'model-00001-of-00002.safetensors': 'old',
      'model.safetensors.index.json': '{}',
      'mine.txt': 'stays',
    });
    const dir = await makeRun();
    await upload(dir);
    const files = state.hub.files('me/model');
    expect([...files.keys()].filter((name) => name.includes('safetensors'))).toEqual(['model.safetensors']);
    expect(files.get('mine.txt')!.toString()).toBe('stays');
    const puts = () => state.hub.requests.filter(({ method }) => method === 'PUT').length;
    const before = puts();
    await upload(dir);
    expect(puts()).toBe(before);
  });

  test('a storage that stumbles is asked again; one that fails leaves no commit', async () => {
    login();
    const dir = await makeRun();
    state.hub.faults.push({ match: /PUT/, times: 1, does: { kind: 'status', status: 503 } });
    await upload(dir);
    state.hub.faults.push({ match: /PUT/, times: 99, does: { kind: 'status', status: 403 } });
    await writeFile(join(dir, 'model.safetensors'), Buffer.alloc(5000, 1));
    await expect(upload(dir)).rejects.toMatchObject({ code: 'E_REMOTE_REFUSED' });
    expect(state.hub.files('me/model').get('model.safetensors')).toEqual(WEIGHTS);
  });

  test('a link is not followed', async () => {
    login();
    const dir = await makeRun();
    await symlink('/etc/hostname', join(dir, 'notes.txt'));
    await expect(upload(dir)).rejects.toMatchObject({
      code: 'E_OPTION_PUSH',
      message: expect.stringMatching(/notes\.txt/),
    });
    expect(state.hub.requests).toEqual([]);
  });
});

describe('the card', () => {
  const commit = 'c'.repeat(40);
  const manifest = makeManifest(4);
  const fromHub = { ...manifest, source: { ...manifest.source, name: 'org/base', commit } };
  const frontOf = (card: string): string[] => /^---\n([\s\S]*?)\n---\n/.exec(card)![1]!.split('\n');

  test('of a pruned model: what the Hub reads', () => {
    const sourceCard =
      '---\nlicense: other\nlicense_name: "llama3"\nlicense_link: https://a/b\ntags:\n- x\n---\n# Base';
    expect(frontOf(renderCard({ repo: 'me/model-70', record: fromHub, sourceCard }))).toEqual([
      'library_name: transformers',
      'pipeline_tag: text-generation',
      'license: other',
      'license_name: llama3',
      'license_link: "https://a/b"',
      'base_model: org/base',
      'base_model_relation: finetune',
      'tags:',
      '  - layerwise',
      '  - pruned',
      '  - sparse',
      '  - wanda',
      '  - atp',
    ]);
  });

  test('of a pruned model: what people read', () => {
    const card = renderCard({ repo: 'me/model-70', record: fromHub });
    expect(card).toContain('\n# model-70\n');
    expect(card).toContain(`[org/base](https://huggingface.co/org/base) at \`${commit}\``);
    expect(card).toContain('| dense | 50.000 | 52.000 |');
    expect(card).toContain('| uniform | 80.000 | 82.000 |');
    expect(card).toMatch(/\| atp, β = 0\.006061 \| [\d.]+ \| [\d.]+ \|/);
    expect(card).toContain('| 0 | 60.00 % |\n| 1 | 66.67 % |');
    expect(card).toContain(manifest.command);
    expect(frontOf(card).some((line) => line.startsWith('license'))).toBe(false); // the source says none
  });

  test('of a local source there is no base model to link to', () => {
    const card = renderCard({ repo: 'me/m', record: manifest });
    expect(card).not.toContain('base_model');
    expect(card).toContain('`model`, pruned to 70.00 %');
  });

  test('of a model without some of its blocks', () => {
    const record: DropRecord = {
      format: 'layerwise-drop',
      version: 1,
      tool: { version: '0.1.0', device: 'cpu' },
      source: { name: 'org/base', commit, hashes: {} },
      seed: 0,
      texts: { calibration: null, validation: null, test: manifest.texts.test },
      method: 'shortgpt',
      removed: [3, 5],
      scores: [],
      blocks: { before: 8, after: 6 },
      parameters: { before: 100, after: 80 },
      dense: { validation: null, test: 10 },
      dropped: { validation: null, test: 12.5 },
    };
    const card = renderCard({ repo: 'me/m', record });
    expect(card).toContain('without 2 of its 8 blocks (3, 5), chosen by shortgpt');
    expect(card).toContain('| without 2 blocks | – | 12.500 |');
    expect(frontOf(card)).toContain('  - layer-removal');
    const repaired = renderCard({
      repo: 'me/m',
      record: {
        ...record,
        repair: {
          method: 'linear',
          unrepaired: { validation: null, test: 99 },
          seams: [{ block: 2, gap: [3], tensors: [] }],
        },
      },
    });
    expect(repaired).toContain('fitted in closed form into the blocks beside them (2)');
    expect(repaired).toContain('| without 2 blocks | – | 99.000 |\n| repaired | – | 12.500 |');
    const merged = renderCard({
      repo: 'me/m',
      record: {
        ...record,
        repair: {
          ...{ method: 'stream', merge: true, unrepaired: { validation: null, test: 99 } },
          seams: [{ block: 2, gap: [3], tensors: [] }],
        },
      },
    });
    expect(merged).toContain(
      'They were merged with the blocks before them (2): the best heads and channels stay, fitted in closed form, and the blocks behind follow the dense stream; nothing was trained afterwards.',
    );
    expect(merged).not.toContain('blocks beside them');
    expect(merged).toContain('| merged | – | 12.500 |');
  });

  test('of a mixture that lost experts', () => {
    const record: ExpertsRecord = {
      format: 'layerwise-experts',
      version: 1,
      tool: { version: '0.1.0', device: 'cpu' },
      command: 'layerwise experts org/base --keep 0.5',
      source: { name: 'org/base', commit, family: 'mixtral', blocks: 1, hashes: {} },
      seed: 0,
      texts: { calibration: null, validation: null, test: manifest.texts.test },
      method: 'reap',
      keep: 0.5,
      perLayer: 'equal',
      blocks: [{ block: 0, kept: [1, 3], scores: [0, 1, 0, 1], tokens: [0, 4, 0, 4] }],
      experts: { before: 4, after: 2 },
      parameters: { before: 100, after: 60 },
      dense: { validation: null, test: 10 },
      pruned: { validation: null, test: 12.5 },
    };
    const card = renderCard({ repo: 'me/m', record });
    expect(card).toContain('with 2 of its 4 experts, chosen by reap');
    expect(card).toContain('60.00 % of the parameters are left');
    expect(card).toContain('It loads like its source.');
    expect(card).toContain('| reap | – | 12.500 |');
    expect(card).toContain(record.command);
    expect(frontOf(card)).toContain('  - expert-pruning');
    const other = { block: 1, kept: [0, 1, 2], scores: [1, 1, 1, 0], tokens: [2, 3, 3, 0] };
    const uneven = renderCard({ repo: 'me/m', record: { ...record, blocks: [...record.blocks, other] } });
    expect(uneven).toContain('which Layerwise runs and transformers refuses');
    expect(frontOf(card)).toContain('library_name: transformers');
    expect(frontOf(uneven)).toContain('library_name: layerwise');
  });

  test('of a model that was cut: what loads it, and no way that does not', () => {
    const free: CutRecord = {
      format: 'layerwise-cut',
      version: 1,
      tool: { version: '0.1.0', device: 'cpu' },
      command: 'layerwise cut org/base --parameters 0.8',
      source: { name: 'org/base', commit, family: 'llama', blocks: 2, hashes: {} },
      seed: 0,
      texts: { calibration: manifest.texts.test!, validation: null, test: manifest.texts.test },
      ...{ units: 'mlp', equal: false, multiple: 4, importance: 'obs', repair: 'least-squares', allocation: 'atp' },
      hyperparameters: { beta: 0.25 },
      parameters: { before: 100, target: 80, after: 81, step: 2 },
      widths: {
        before: [
          [4, 4, 32],
          [4, 4, 32],
        ],
        after: [
          [4, 4, 24],
          [4, 4, 16],
        ],
      },
      errors: [],
      dense: { validation: null, test: 10 },
      uniform: { validation: null, test: 14 },
      cut: { validation: null, test: 12.5 },
      trials: [],
      loads: ['as it is: layerwise alone: others do not read layer_widths', 'pack: layerwise'],
    };
    expect(parsePushedRecord(JSON.stringify(free), 'layerwise.json')).toEqual(free);
    const sourceCard = '---\nlibrary_name: transformers\n---\n# Base';
    const card = renderCard({ repo: 'me/m', record: free, sourceCard });
    expect(card).toContain(
      'with fewer channels of MLPs, cut by Layerwise 0.1.0: importance obs, allocation atp, β = 0.25',
    );
    expect(card).toContain('81.00 % of the parameters are left');
    expect(card).toContain('| dense | – | 10.000 |\n| uniform | – | 14.000 |\n| cut | – | 12.500 |');
    expect(card).toContain('## What loads it\n\n- as it is: layerwise alone: others do not read layer_widths\n- pack');
    expect(card).toContain(free.command);
    expect(frontOf(card)).toEqual(
      expect.arrayContaining(['library_name: layerwise', 'base_model: org/base', '  - structured-pruning']),
    );
    const even = { before: free.widths.before, after: [free.widths.after[0]!, free.widths.after[0]!] };
    const plain = renderCard({ repo: 'me/m', record: { ...free, equal: true, widths: even } });
    expect(plain).toContain('importance obs, the same from every block, repair least-squares');
    expect(frontOf(plain)).toContain('library_name: transformers');
  });

  test('of a model with more blocks', () => {
    const card = renderCard({
      repo: 'me/m',
      record: {
        format: 'layerwise-grow',
        version: 1,
        tool: { version: '0.1.0', device: 'cpu' },
        source: { name: 'org/base', commit, hashes: {} },
        seed: 0,
        texts: { validation: null, test: manifest.texts.test },
        method: 'average',
        grown: [3, 5],
        of: [
          [2, 3],
          [3, 4],
        ],
        blocks: { before: 8, after: 10 },
        parameters: { before: 100, after: 120 },
        dense: { validation: null, test: 10 },
        deeper: { validation: null, test: 12.5 },
      },
    });
    expect(card).toContain('with 10 blocks instead of 8, made by average');
    expect(card).toContain('the new ones are 3, 5.');
    expect(card).toContain('| with 2 blocks more | – | 12.500 |');
    expect(frontOf(card)).toContain('  - depth-up-scaling');
  });

  test('of a model in which a text is suppressed', () => {
    const choices = (nll: number) => ({ nll, accuracy: 0.25, tokens: 100 });
    const scores = (forget: number) => ({ forget: choices(forget), retain: choices(3) });
    const card = renderCard({
      repo: 'me/m',
      record: {
        format: 'layerwise-unlearn',
        version: 1,
        tool: { version: '0.1.0', device: 'cpu' },
        command: 'layerwise unlearn m',
        source: { name: 'org/base', commit, family: 'llama', blocks: 8, hashes: {} },
        seed: 0,
        texts: { forget: manifest.texts.test!, retain: manifest.texts.test! },
        windows: {
          forget: { training: 4, validation: 2, heldOut: 2 },
          retain: { training: 4, validation: 2, heldOut: 2 },
        },
        ...{ method: 'adaptive-rmu', direction: 'gaussian', alpha: 1200, steps: 9, rate: 0.1, batch: 1 },
        ...{ tolerance: 0.1, within: true, before: { forget: 3, retain: 3 }, trials: [], tensors: ['a', 'b', 'c'] },
        chosen: { layer: 7, beta: 5, coefficient: 30 },
        curve: { steps: 9, taken: 9, training: [], validation: [], best: { step: 9, loss: 1 }, ended: 'done' },
        dense: scores(3),
        suppressed: scores(7),
        leaks: [{ name: 'relearn', scores: scores(4), back: { nll: 0.75, accuracy: null } }],
      },
    });
    expect(card).toContain('adaptive-rmu at block 7, 3 tensors changed. **Suppressed is not erased**');
    expect(card).toContain('| relearn | 4.000 | 25.00 % | 3.000 | 25.00 % | 75.00 % |');
    expect(frontOf(card)).toContain('  - unlearning');
  });

  test.each(['license: no', 'license: [a, b]', 'license: |', 'license: &x mit', 'license: "a\\nb: c"', 'no front'])(
    'a source card that says %j cannot break its lines',
    (line) => {
      const lines = frontOf(renderCard({ repo: 'me/m', record: manifest, sourceCard: `---\n${line}\n---\n` }));
      for (const one of lines) expect(one).toMatch(/^( {2}- |\w+:)/);
      expect(lines.filter((one) => one.startsWith('license')).every((one) => /^license: ("|[a-z])/.test(one))).toBe(
        true,
      );
      expect(lines).not.toContain('license: no');
    },
  );

  test('the names of texts cannot break its tables', () => {
    const text = { ...manifest.texts.test!, name: 'a|b\n# c <script>' };
    const card = renderCard({ repo: 'me/m', record: { ...manifest, texts: { ...manifest.texts, test: text } } });
    expect(card).toContain('Test: a\\|b # c \\<script\\>, 6 windows');
  });
});
