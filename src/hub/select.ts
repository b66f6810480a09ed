// Selects the files of a model’s repository that Layerwise needs: the configuration, the tokenizer, the licence, the
// weights in safetensors. Never pickles (they run code when loaded), never a second copy of the weights, never code. All of
// them are at the top of the repository. As in transformers, model.safetensors wins over an index beside it.

import { CheckpointError } from '../base/index.js';
import { describeForeign } from '../checkpoint/index.js';
import type { Repo } from './names.js';
import type { RepoFile } from './repo.js';

export const SINGLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

const DESCRIPTIONS = [
  /^(config|generation_config|preprocessor_config)\.json$/,
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$/,
  /^(merges|vocab)\.txt$/,
  /^(tokenizer|spiece|sentencepiece\.bpe)\.model$/,
  /^chat_template\.jinja$/,
  /^README\.md$/,
  /^(licen[cs]e|notice|copying|use_policy)([._-][\w.-]*)?$/i,
];

/** No configuration file is nearly as large; the largest tokenizer.json have 40 MB. */
const MAX_DESCRIPTION = 256 << 20;

export type Selection = {
  readonly descriptions: readonly RepoFile[];
  /** The single file of weights, or the index of many. */
  readonly weights: { readonly single: RepoFile } | { readonly index: RepoFile };
};

/** @throws CheckpointError E_CHECKPOINT_CONFIG, E_CHECKPOINT_WEIGHTS where a needed file is missing */
export function selectFiles(files: readonly RepoFile[], repo: Repo): Selection {
  const named = (name: string): RepoFile | undefined => files.find(({ path }) => path === name);
  const refuse = (code: string, expected: string, got: string, next: string): CheckpointError =>
    new CheckpointError(code, `${repo.name}: expected ${expected}, got ${got}; ${next}.`, {
      file: repo.name,
      expected,
      got,
    });
  const descriptions = files.filter(
    ({ path, size }) => size <= MAX_DESCRIPTION && DESCRIPTIONS.some((pattern) => pattern.test(path)),
  );
  const single = named(SINGLE);
  const index = named(INDEX);
  const foreign = describeForeign(files.map(({ path }) => path).filter((path) => !path.includes('/')));
  if (!single && !index && foreign) {
    const next = foreign.next.replace('refs/pr/1', `${repo.name}@refs/pr/1`);
    throw refuse('E_CHECKPOINT_WEIGHTS', `${SINGLE} or ${INDEX}`, `only ${foreign.got}`, next);
  }
  if (!named('config.json')) {
    throw refuse('E_CHECKPOINT_CONFIG', 'config.json', 'none', 'it is not a model in the Hugging Face layout');
  }
  if (single) return { descriptions, weights: { single } };
  if (index) return { descriptions, weights: { index } };
  throw refuse('E_CHECKPOINT_WEIGHTS', `${SINGLE} or ${INDEX}`, 'neither', 'use another model');
}

/** The shards that an index names, which must be among `files`. @throws CheckpointError E_CHECKPOINT_INDEX, E_CHECKPOINT_SHARD */
export function selectShards(index: string, files: readonly RepoFile[], repo: Repo): RepoFile[] {
  const names = shardNames(index);
  if (!names) {
    throw new CheckpointError(
      'E_CHECKPOINT_INDEX',
      `${repo.name}: expected a weight_map of plain file names that end in .safetensors in ${INDEX}; use another model.`,
      { file: `${repo.name}/${INDEX}` },
    );
  }
  return names.map((name) => {
    const file = files.find(({ path }) => path === name);
    if (file) return file;
    throw new CheckpointError(
      'E_CHECKPOINT_SHARD',
      `${repo.name}: expected ${name}, which ${INDEX} names, got no such file; the upload is incomplete.`,
      { file: `${repo.name}/${name}` },
    );
  });
}

/** The names of an index's shards, sorted; undefined where it is not one. */
export function shardNames(index: string): string[] | undefined {
  try {
    const map: unknown = (JSON.parse(index) as { weight_map?: unknown } | null)?.weight_map;
    const names = [...new Set(Object.values(map as Record<string, unknown>))];
    const isPlain = (name: unknown): name is string =>
      typeof name === 'string' && /^\w[\w.-]*\.safetensors$/.test(name);
    return names.length > 0 && names.every(isPlain) ? names.sort() : undefined;
  } catch {
    return undefined;
  }
}
