// Opens a Hugging Face checkpoint directory: config.json, one model.safetensors or shards with an index, and other files.
// Only headers are read. As in transformers, model.safetensors wins over an index beside it. Shard names must be plain file
// names; a shard may be a symbolic link, because the Hub’s cache is made of links.

import { basename, join, resolve } from 'node:path';
import { CheckpointError, UnsupportedError } from '../base/index.js';
import { allocate } from './allocate.js';
import { listFiles, listNames } from './files.js';
import { describeForeign } from './foreign.js';
import { readFully, statIfThere, withFile } from './io.js';
import { isObject, type JsonObject, parseJsonObject, show } from './json.js';
import { readSafetensors, type TensorInfo } from './safetensors.js';

const MAX_CONFIG = 16_000_000;
export const MAX_INDEX = 100_000_000;
const SINGLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

/** A GGUF file: its absolute path, and the SHA-256 of its bytes. */
export type Origin = { readonly path: string; readonly sha256: string };

/** What the user gave: a directory, or the file that the directory was made from. */
export const givenPath = ({ dir, origin }: Pick<Checkpoint, 'dir' | 'origin'>): string => origin?.path ?? dir;

/**
 * A checkpoint whose headers have been checked. `dir` is absolute; `tensors` are in the order of the shards and of the
 * data in them. `files` are the relative paths of everything that is copied byte for byte beside the weights: every
 * regular file down to three folders deep (links to files count, linked folders do not), except `.git`, `.cache`, an
 * earlier run’s `layerwise.json`, `report.html`, `sensitivities.json`, `workers.json` and `layerwise.scales` (which need not fit edited weights), and weights in
 * any other file or format: a dense copy beside pruned weights would mislead.
 */
export type Checkpoint = {
  readonly dir: string;
  /** The file that this directory was made from, where the user gave one: what messages and records name. */
  readonly origin?: Origin | undefined;
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly shards: readonly string[];
  readonly files: readonly string[];
  /** Which file was followed where files disagree, a sentence or two each. */
  readonly notes?: readonly string[];
};

/**
 * Opens a checkpoint directory and checks everything but the numbers in it.
 *
 * @throws UnsupportedError E_UNSUPPORTED_ADAPTER where an adapter lies beside the weights
 * @throws CheckpointError E_CHECKPOINT_DIRECTORY, E_CHECKPOINT_CONFIG, E_CHECKPOINT_WEIGHTS (none, or in another
 * format), E_CHECKPOINT_INDEX, E_CHECKPOINT_SHARD (index and shards disagree), E_CHECKPOINT_HEADER, E_CHECKPOINT_TENSOR
 * @throws ResourceError E_RESOURCE_… when a file cannot be read
 */
export async function openCheckpoint(dir: string, origin?: Origin): Promise<Checkpoint> {
  const path = resolve(dir);
  const stats = await statIfThere(path);
  if (!stats?.isDirectory()) {
    const foreign = stats && describeForeign([basename(path)]);
    const got = foreign?.got ?? (stats ? 'something else' : 'nothing');
    const next = /\.safetensors(\.index\.json)?$/i.test(path)
      ? 'give the folder that contains it'
      : (foreign?.next ?? 'give the path of one, or a name on the Hub such as org/name');
    const message = `${dir}: expected the directory of a checkpoint, got ${got}; ${next}.`;
    throw new CheckpointError('E_CHECKPOINT_DIRECTORY', message, { file: dir, expected: 'a directory', got });
  }
  const hasConfig = await statIfThere(join(path, 'config.json'));
  const single = await statIfThere(join(path, SINGLE));
  const indexed = !single && (await statIfThere(join(path, INDEX)));
  const names = await listNames(path);
  if (!single && !indexed && (hasConfig || describeForeign(names))) throw noWeights(path, names);
  const config = await readJson(join(path, 'config.json'), MAX_CONFIG, 'E_CHECKPOINT_CONFIG');
  refuseAdapter(path, names);
  const tensors = single ? (await readSafetensors(join(path, SINGLE))).tensors : await readShards(path);
  if (tensors.size === 0) throw fail('E_CHECKPOINT_WEIGHTS', join(path, SINGLE), 'tensors', 'none');
  const shards = [...new Set([...tensors.values()].map((tensor) => tensor.file))];
  const files = await listFiles(path, new Set(single ? shards : [...shards, INDEX]));
  const notes = single ? await noteOtherWeights(path, names) : [];
  return { dir: path, origin, config, tensors, shards, files: indexed ? [...files, INDEX].sort() : files, notes };
}

/** The index beside model.safetensors and its shards; probably one of the two is a leftover. */
async function noteOtherWeights(dir: string, names: readonly string[]): Promise<readonly string[]> {
  if (!names.includes(INDEX)) return [];
  const index = await readIndex(join(dir, INDEX)).catch((error) => {
    if (error instanceof CheckpointError) return undefined; // the index is not used, so it may be wrong
    throw error;
  });
  const shards = new Set(index?.values());
  const others = [...shards].filter((shard) => shard !== SINGLE && names.includes(shard));
  if (others.length === 0) return [];
  const what = `${others.length} ${others.length === 1 ? 'file' : 'files'}, which ${INDEX} names`;
  return [`${dir}: ${SINGLE} is used, as in transformers, and not ${what}. Move the leftover files away.`];
}

async function readShards(dir: string): Promise<Map<string, TensorInfo>> {
  const wanted = await readIndex(join(dir, INDEX));
  const tensors = new Map<string, TensorInfo>();
  for (const shard of [...new Set(wanted.values())].sort()) {
    const path = join(dir, shard);
    const refuse = (expected: string, got: string, tensor?: string) =>
      fail('E_CHECKPOINT_SHARD', path, expected, got, tensor);
    if (!(await statIfThere(path))) throw refuse('the shard that the index names', 'no such file');
    for (const [name, tensor] of (await readSafetensors(path)).tensors) {
      const home = wanted.get(name);
      if (home === undefined) throw refuse('only tensors that the index names', 'another one', name);
      if (home !== shard) throw refuse(`this tensor only in ${show(home)}, as the index says`, 'it here too', name);
      tensors.set(name, tensor);
    }
    for (const [name, home] of wanted) {
      if (home === shard && !tensors.has(name))
        throw refuse('this tensor here, as the index says', 'no such tensor', name);
    }
  }
  return tensors;
}

/** Which shard holds each tensor. */
async function readIndex(path: string): Promise<ReadonlyMap<string, string>> {
  const refuse = (expected: string, got: unknown, tensor?: string) =>
    fail('E_CHECKPOINT_INDEX', path, expected, show(got), tensor);
  const { weight_map: map } = await readJson(path, MAX_INDEX, 'E_CHECKPOINT_INDEX');
  if (!isObject(map)) throw refuse('an object weight_map', map);
  const wanted = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (!isShardName(shard)) throw refuse('a plain file name that ends in .safetensors', shard, tensor);
    wanted.set(tensor, shard);
  }
  if (wanted.size === 0) throw refuse('tensors in weight_map', map);
  return wanted;
}

/** A file name that stays inside the directory on every system. */
function isShardName(name: unknown): name is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not get through
  return typeof name === 'string' && name.endsWith('.safetensors') && !/[/\\:\u0000-\u001f]|^\.\.?$/.test(name);
}

async function readJson(path: string, limit: number, code: string): Promise<JsonObject> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) throw fail(code, path, 'a file', stats ? 'something else' : 'none');
  if (stats.size > limit) throw fail(code, path, `at most ${limit} bytes`, `${stats.size}`);
  const bytes = allocate(stats.size, path);
  await withFile(path, (handle) => readFully(handle, bytes, 0, path));
  return parseJsonObject(bytes, path, code);
}

function noWeights(dir: string, names: readonly string[]): CheckpointError {
  const expected = `${SINGLE} or ${INDEX}`;
  const { got, next } = describeForeign(names) ?? { got: 'neither', next: 'download or export the checkpoint again' };
  const message = `${dir}: expected ${expected}, got ${got}; ${next}.`;
  return new CheckpointError('E_CHECKPOINT_WEIGHTS', message, { file: dir, expected, got, next });
}

/**
 * Refuses an adapter beside the weights: transformers would load the adapter’s own base instead of the weights, and apply
 * the adapter.
 */
function refuseAdapter(dir: string, names: readonly string[]): void {
  const file = 'adapter_config.json';
  if (!names.includes(file)) return;
  const message = `${dir}: ${file} lies beside the weights: an adapter that would change the model. Adapters are not implemented. Merge it with peft (merge_and_unload, then save_pretrained) and give the merged folder; if the weights are merged already, move ${file} away.`;
  throw new UnsupportedError('E_UNSUPPORTED_ADAPTER', message, { file: join(dir, file) });
}

function fail(code: string, file: string, expected: string, got: string, tensor?: string): CheckpointError {
  const place = tensor === undefined ? file : `${file}: tensor ${show(tensor)}`;
  const message = `${place}: expected ${expected}, got ${got}; download or export the checkpoint again.`;
  return new CheckpointError(code, message, { file, expected, got, ...(tensor === undefined ? {} : { tensor }) });
}
