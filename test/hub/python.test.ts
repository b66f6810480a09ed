// The cache is shared with Hugging Face's Python library, in both directions; and the library judges the test server, which
// it talks to as it talks to the Hub. Skipped where the library is not installed.

import { execFile, execFileSync } from 'node:child_process';
import { readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test as plainTest } from 'vitest';
import { pushFolder, renderCard, resolveModel, resolveText } from '../../src/hub/index.js';
import { makeManifest } from '../report/manifest.js';
import { environmentOf, MODEL, makeFolder, NEEDED, settingsOf, useHub } from './make.js';

const state = useHub();

const hasLibrary = ((): boolean => {
  try {
    execFileSync('python3', ['-c', 'import huggingface_hub'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('skipped: python3 with huggingface_hub is not here');
    return false;
  }
})();
const test = plainTest.skipIf(!hasLibrary);

/** Whoever runs the tests may have settings of their own. */
const withoutHub = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(HF_|HUGGING|TRANSFORMERS_)/.test(name)));

function python(script: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  const env = {
    ...withoutHub(process.env),
    ...environmentOf(state),
    HF_HUB_DISABLE_XET: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    ...more,
  };
  return new Promise((resolve, reject) => {
    execFile('python3', ['-c', script], { env }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr));
      else resolve(stdout.trim());
    });
  });
}

test('what Layerwise fetched, Python finds without the network', async () => {
  state.hub.put('org/model', MODEL);
  const dir = await resolveModel('org/model', { settings: settingsOf(state) });
  const before = state.hub.requests.length;
  const script = `
import json
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
cache = scan_cache_dir()
print(json.dumps({
  'snapshot': snapshot_download('org/model', local_files_only=True),
  'file': hf_hub_download('org/model', 'model.safetensors'),
  'known': try_to_load_from_cache('org/model', 'config.json'),
  'warnings': [str(w) for w in cache.warnings],
  'files': sorted(f.file_name for repo in cache.repos for rev in repo.revisions for f in rev.files),
}))`;
  expect(JSON.parse(await python(script, { HF_HUB_OFFLINE: '1' }))).toEqual({
    snapshot: dir,
    file: join(dir, 'model.safetensors'),
    known: join(dir, 'config.json'),
    warnings: [],
    files: [...NEEDED].sort(),
  });
  expect(state.hub.requests).toHaveLength(before);
});

test('what Python fetched, Layerwise finds, with the network and without', async () => {
  state.hub.put('org/model', MODEL);
  const dir = await python(`from huggingface_hub import snapshot_download\nprint(snapshot_download('org/model'))`);
  const fetched = () => state.hub.requests.filter(({ path }) => /\/resolve\/|^\/lfs/.test(path)).length;
  const before = fetched();
  expect(await resolveModel('org/model', { settings: settingsOf(state) })).toBe(dir);
  expect(await resolveModel('org/model', { settings: settingsOf(state, { HF_HUB_OFFLINE: '1' }) })).toBe(dir);
  expect(fetched()).toBe(before);
});

test('what one has of a snapshot, the other completes', async () => {
  state.hub.put('org/model', MODEL);
  await python(`from huggingface_hub import hf_hub_download\nhf_hub_download('org/model', 'model.safetensors')`);
  const before = state.hub.requests.length;
  const dir = await resolveModel('org/model', { settings: settingsOf(state) });
  const since = state.hub.requests.slice(before).map(({ path }) => path);
  expect(since.filter((path) => path.includes('model.safetensors'))).toEqual([]);
  await python(`from huggingface_hub import snapshot_download\nsnapshot_download('org/model')`);
  expect((await readdir(dir)).sort()).toEqual(
    [...new Set(Object.keys(MODEL).map((name) => name.split('/')[0]!))].sort(),
  );
});

test('data sets too', async () => {
  const file = 'wikitext-2-raw-v1/test-00000-of-00001.parquet';
  state.hub.put('Salesforce/wikitext', { [file]: 'a parquet' }, { type: 'datasets' });
  const { path } = await resolveText('wikitext2', 'test', () => {}, settingsOf(state));
  const script = `from huggingface_hub import hf_hub_download\nprint(hf_hub_download('Salesforce/wikitext', '${file}', repo_type='dataset'))`;
  expect(await python(script, { HF_HUB_OFFLINE: '1' })).toBe(path);
});

test('a card is what Python’s reader of cards takes it for', async () => {
  state.hub.users.set('hf_mine', { name: 'me' });
  const manifest = makeManifest(4);
  const record = { ...manifest, source: { ...manifest.source, name: 'org/base', commit: 'c'.repeat(40) } };
  const sourceCard = '---\nlicense: other\nlicense_name: "no"\nlicense_link: LICENSE\n---\n';
  const folder = await makeFolder();
  await writeFile(join(folder, 'config.json'), '{}');
  const card = renderCard({ repo: 'me/model', record, sourceCard });
  await pushFolder(folder, { repo: 'me/model' }, card, () => {}, settingsOf(state, { HF_TOKEN: 'hf_mine' }));
  const script = `
import json
from huggingface_hub import ModelCard
print(json.dumps(ModelCard.load('me/model').data.to_dict()))`;
  expect(JSON.parse(await python(script))).toEqual({
    library_name: 'transformers',
    pipeline_tag: 'text-generation',
    license: 'other',
    license_name: 'no',
    license_link: 'LICENSE',
    base_model: 'org/base',
    base_model_relation: 'finetune',
    tags: ['layerwise', 'pruned', 'sparse', 'wanda', 'atp'],
  });
});

test('the server takes what Python uploads', async () => {
  state.hub.users.set('hf_mine', { name: 'org' });
  const folder = await makeFolder();
  for (const [name, data] of Object.entries(MODEL)) if (!name.includes('/')) await writeFile(join(folder, name), data);
  const script = `
from huggingface_hub import HfApi
api = HfApi()
api.create_repo('org/uploaded', private=True)
api.upload_folder(repo_id='org/uploaded', folder_path='${await realpath(folder)}')`;
  await python(script, { HF_TOKEN: 'hf_mine' });
  const files = state.hub.files('org/uploaded');
  for (const name of NEEDED) expect(files.get(name), name).toEqual(await readFile(join(folder, name)));
});
