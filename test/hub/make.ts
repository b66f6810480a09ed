// What the Hub tests share: settings for a server and a cache of their own, and a model's files, small and large.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach } from 'vitest';
import { type HubSettings, readHubSettings } from '../../src/hub/index.js';
import { type FakeHub, type Files, startHub } from './server.js';

const made: string[] = [];
afterAll(async () => {
  for (const dir of made.splice(0)) await rm(dir, { recursive: true, force: true });
});

export async function makeFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'layerwise-hub-'));
  made.push(dir);
  return dir;
}

/** A server and a cache for each test of a file. */
export function useHub(): { readonly hub: FakeHub; readonly home: string } {
  const state = {} as { hub: FakeHub; home: string };
  beforeEach(async () => {
    state.hub = await startHub();
    state.home = await makeFolder();
  });
  afterEach(() => state.hub.close());
  return state;
}

export const environmentOf = (state: { readonly hub: FakeHub; readonly home: string }) => ({
  HF_ENDPOINT: state.hub.endpoint,
  HF_HOME: state.home,
  HF_HUB_DOWNLOAD_TIMEOUT: '1',
});

export const settingsOf = (
  state: { readonly hub: FakeHub; readonly home: string },
  more: Readonly<Record<string, string>> = {},
): HubSettings => readHubSettings({ ...environmentOf(state), ...more });

/** Weights are not looked at by what is tested with them. */
export const WEIGHTS = randomBytes(300_000);

export const MODEL: Files = {
  'config.json': '{"model_type":"llama"}',
  'generation_config.json': '{}',
  'tokenizer.json': JSON.stringify({ version: '1.0', filler: 'x'.repeat(2000) }),
  'tokenizer_config.json': '{"a":1}',
  'README.md': '---\nlicense: apache-2.0\n---\n# A model\n',
  LICENSE: 'Apache License',
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': 'a pickle',
  'modeling_custom.py': 'import os',
  'onnx/model.onnx': 'another copy',
};

/** The files of `MODEL` that Layerwise needs. */
export const NEEDED = Object.keys(MODEL).filter((name) => !/\.(bin|py|onnx)$/.test(name));

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
export const gitSha1 = (bytes: Uint8Array | string): string => {
  const data = Buffer.from(bytes as string);
  return createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
};
