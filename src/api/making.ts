// The beginning and the end of every command that makes a checkpoint: the source is opened where the output can be written, and
// the record and its page go beside the weights before the folder becomes the output.

import { join } from 'node:path';
import { readDocument, writeFileAtomic } from '../base/index.js';
import type { Model } from '../model/index.js';
import {
  checkOut,
  checkOutside,
  checkSpace,
  isOnlyToBeCleared,
  openSource,
  type RunSettings,
  type Workspace,
} from '../runs/index.js';

type Making = Pick<RunSettings, 'onProgress'> & {
  readonly checkpoint: string;
  readonly out: string;
  readonly resume: boolean;
};

/** How the source is opened. */
type Opening = NonNullable<Parameters<typeof openSource>[2]>;

/** What was opened; `done` where a killed run has made the output, and only its workspace is to go. */
type Opened = { readonly model: Model; readonly done: boolean };

/** Before anything else is checked. @throws as `checkOut` and `openSource` */
export async function openMaking({ checkpoint, out, resume, onProgress }: Making, how: Opening = {}): Promise<Opened> {
  const done = resume && (await isOnlyToBeCleared(out));
  if (!done) await checkOut(out, resume);
  return { model: await openSource(checkpoint, onProgress, how), done };
}

/** After the command's own checks of the model; the run needs `bytes` on the disk. @throws as `checkOutside` and `checkSpace` */
export async function checkRoom({ out, resume }: Making, { model, done }: Opened, bytes: number): Promise<void> {
  if (!done) await checkOutside(out, model.checkpoint.dir);
  if (!resume) await checkSpace(out, bytes);
}

/** Writes the record and its page beside the checkpoint in `final`, which becomes the output. Gives the record back. */
export async function finishMaking<R>(
  workspace: Workspace,
  record: R,
  draw?: (record: R) => Promise<string>,
): Promise<R> {
  const final = workspace.at('final');
  await writeFileAtomic(join(final, 'layerwise.json'), `${JSON.stringify(record, null, 2)}\n`);
  if (draw) await writeFileAtomic(join(final, 'report.html'), await draw(record));
  await workspace.finish();
  return record;
}

/** After a run that was killed when its output was complete: its workspace goes, and its record is read. */
export async function readFinished<T>(
  workspace: Workspace,
  out: string,
  parse: (text: string, path: string) => T,
): Promise<T> {
  await workspace.clear();
  const path = join(out, 'layerwise.json');
  return parse(await readDocument(path), path);
}
