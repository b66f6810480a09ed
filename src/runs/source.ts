// Where every job's checkpoint and texts come from: a path on this machine, or a name on the Hub, which is then fetched.

import { basename } from 'node:path';
import type { OnProgress } from '../base/index.js';
import { describeSnapshot, resolveModel, resolveText, type TextRole } from '../hub/index.js';
import { type Model, openModel } from '../model/index.js';
import { type Corpus, readCorpus } from '../text/index.js';

/** Opens a checkpoint by its directory or by its name on the Hub, and tells of its notes. @throws as `resolveModel` and `openModel` */
export async function openSource(checkpoint: string, onProgress: OnProgress): Promise<Model> {
  const model = await openModel(await resolveModel(checkpoint, { onProgress }));
  for (const text of model.notes) onProgress({ kind: 'note', text });
  return model;
}

export type SourceName = {
  /** The name on the Hub, or the directory's. */
  readonly name: string;
  /** The commit on the Hub, where the checkpoint lies in the Hub's cache. */
  readonly commit?: string;
};

/** What records call a checkpoint: a snapshot in the Hub's cache has a better name than its directory. */
export const nameSource = ({ checkpoint: { dir } }: Model): SourceName =>
  describeSnapshot(dir) ?? { name: basename(dir) };

/** Reads a text by its path or by a data set's name; `name` is what records call it. */
export async function readText(
  nameOrPath: string,
  role: TextRole,
  onProgress: OnProgress,
): Promise<{ readonly corpus: Corpus; readonly name: string }> {
  const { path, name, selection } = await resolveText(nameOrPath, role, onProgress);
  return { corpus: await readCorpus(path, selection), name: name ?? basename(path) };
}
