// The checkpoint and the texts of every job: a path on this machine, or a name on the Hub, which is downloaded.

import { basename } from 'node:path';
import type { OnProgress } from '../base/index.js';
import { describeSnapshot, resolveModel, resolveText, type TextRole } from '../hub/index.js';
import { type Model, openModel } from '../model/index.js';
import { type Corpus, readCorpus } from '../text/index.js';

/** Opens a checkpoint by its directory or its name on the Hub, and reports its notes. @throws as `resolveModel` and `openModel` */
export async function openSource(checkpoint: string, onProgress: OnProgress): Promise<Model> {
  const model = await openModel(await resolveModel(checkpoint, { onProgress }));
  for (const text of model.notes) onProgress({ kind: 'note', text });
  return model;
}

export type SourceName = {
  /** The name on the Hub, or the name of the directory. */
  readonly name: string;
  /** The commit on the Hub, if the checkpoint is in the Hub's cache. */
  readonly commit?: string;
};

/** The checkpoint's name in records: for a snapshot in the Hub's cache its name on the Hub. */
export const nameSource = ({ checkpoint: { dir } }: Model): SourceName =>
  describeSnapshot(dir) ?? { name: basename(dir) };

/** Reads a text by its path or the name of a data set. `name` is its name in records. */
export async function readText(
  nameOrPath: string,
  role: TextRole,
  onProgress: OnProgress,
): Promise<{ readonly corpus: Corpus; readonly name: string }> {
  const { path, name, selection } = await resolveText(nameOrPath, role, onProgress);
  return { corpus: await readCorpus(path, selection), name: name ?? basename(path) };
}
