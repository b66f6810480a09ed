// A run that was killed after its output was complete: its workspace goes, and its record is read.

import { join } from 'node:path';
import { readDocument } from '../base/index.js';
import type { Workspace } from '../runs/index.js';

export async function readFinished<T>(
  workspace: Workspace,
  out: string,
  parse: (text: string, path: string) => T,
): Promise<T> {
  await workspace.clear();
  const path = join(out, 'layerwise.json');
  return parse(await readDocument(path), path);
}
