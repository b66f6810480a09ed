// The papers' data sets by name: which file of which repository is calibration, validation or test text, and how its
// documents are joined into one text. Repositories and columns as of 2026; files are only read, no code is run.
//   wikitext2  the three splits of WikiText-2 (raw), lines joined by "\n\n".
//   c4         The English part of C4: calibration is the head of the first train shard, test the first 1,100 documents
//              of the first validation shard joined by spaces, as in SparseGPT and Wanda. C4 has no third split, so
//              validation text is the next 1,100 documents: the text that chooses is not the text that is reported.
//   ptb        The Penn Treebank's three splits, sentences joined by spaces; from the branch that the Hub converts to Parquet.

import { type OnProgress, RemoteError } from '../base/index.js';
import type { CorpusSelection } from '../text/index.js';
import { fileOf, folderOf, readRef, sizeOf, writeRef } from './cache.js';
import { isOutOfReach, isThere } from './model.js';
import type { Reference } from './names.js';
import { findCommit, findFile } from './repo.js';
import { type HubSettings, readHubSettings } from './settings.js';
import { fetchFiles } from './snapshot.js';

export type TextRole = 'calibration' | 'validation' | 'test';

/** A text file, with its name in records. */
export type TextFile = { readonly path: string; readonly name?: string; readonly selection?: CorpusSelection };

type DataSet = {
  readonly repo: string;
  readonly revision: string;
  readonly splits: Readonly<Record<TextRole, { readonly file: string; readonly selection?: CorpusSelection }>>;
};

const wikitext = (split: string) => ({ file: `wikitext-2-raw-v1/${split}-00000-of-00001.parquet` });
const treebank = (split: string) => ({
  file: `penn_treebank/${split}/0000.parquet`,
  selection: { column: 'sentence', separator: ' ' },
});
const C4_VALIDATION = 'en/c4-validation.00000-of-00008.json.gz';

export const DATA_SETS: Readonly<Record<string, DataSet>> = {
  c4: {
    repo: 'allenai/c4',
    revision: 'main',
    splits: {
      // About 2.5 million tokens: ten times what the papers draw from the shard’s 356,317 documents.
      calibration: { file: 'en/c4-train.00000-of-01024.json.gz', selection: { documents: [0, 5000] } },
      validation: { file: C4_VALIDATION, selection: { separator: ' ', documents: [1100, 2200] } },
      test: { file: C4_VALIDATION, selection: { separator: ' ', documents: [0, 1100] } },
    },
  },
  wikitext2: {
    repo: 'Salesforce/wikitext',
    revision: 'main',
    splits: { calibration: wikitext('train'), validation: wikitext('validation'), test: wikitext('test') },
  },
  ptb: {
    repo: 'ptb-text-only/ptb_text_only',
    revision: 'refs/convert/parquet',
    splits: { calibration: treebank('train'), validation: treebank('validation'), test: treebank('test') },
  },
};

/**
 * The file behind a path or a data set’s name; an existing file of that name wins.
 * @throws RemoteError E_REMOTE_…, ResourceError E_RESOURCE_…
 */
export async function resolveText(
  nameOrPath: string,
  role: TextRole,
  onProgress: OnProgress,
  settings?: HubSettings,
): Promise<TextFile> {
  const set = Object.hasOwn(DATA_SETS, nameOrPath) ? DATA_SETS[nameOrPath] : undefined;
  if (!set || (await isThere(nameOrPath))) return { path: nameOrPath };
  const { file, selection } = set.splits[role];
  const path = await resolveFile(
    settings ?? readHubSettings(),
    { repo: { type: 'dataset', name: set.repo }, revision: set.revision },
    file,
    onProgress,
  );
  return { path, name: `${nameOrPath} (${role})`, ...(selection ? { selection } : {}) };
}

async function resolveFile(
  settings: HubSettings,
  reference: Reference,
  file: string,
  onProgress: OnProgress,
): Promise<string> {
  const { repo } = reference;
  const cached = async (): Promise<string | undefined> => {
    const commit = await readRef(settings, reference);
    const path = commit && fileOf(settings, repo, commit, file);
    return path && (await sizeOf(path)) !== undefined ? path : undefined;
  };
  if (settings.offline) {
    const path = await cached();
    if (path) return path;
    throw new RemoteError(
      'E_REMOTE_OFFLINE',
      `${repo.name}: HF_HUB_OFFLINE is set, and the cache ${folderOf(settings, repo)} does not have ${file}. Run the command once without HF_HUB_OFFLINE, or pass a file.`,
      { repo: repo.name, missing: [file] },
    );
  }
  try {
    const commit = await findCommit(settings, reference);
    await fetchFiles(settings, repo, commit, [await findFile(settings, repo, commit, file)], onProgress);
    await writeRef(settings, reference, commit);
    return fileOf(settings, repo, commit, file);
  } catch (error) {
    const path = isOutOfReach(error) ? await cached() : undefined;
    if (!path) throw error;
    onProgress({ kind: 'note', text: `${(error as Error).message} Using ${path}.` });
    return path;
  }
}
