// Lists the files that are copied beside the weights: everything small that describes the model, and no second copy of its
// weights. The comment on `Checkpoint.files` states the rule for readers.

import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../base/index.js';
import { statIfThere } from './io.js';

const MAX_FOLDERS = 3;
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set(['.git', '.cache']);
const OWN: ReadonlySet<string> = new Set([
  'layerwise.json',
  'report.html',
  'layerwise.scales',
  'sensitivities.json',
  'workers.json',
]);
const WEIGHTS =
  /\.(safetensors|bin|pt|pth|ckpt|gguf|ggml|msgpack|h5|npz|ot|tflite|onnx|onnx_data|onnx\.data)(\.index\.json)?$/i;

/** Relative paths ('/' between folders), sorted, without `known`. A link that leads nowhere is left out. */
export async function listFiles(dir: string, known: ReadonlySet<string>): Promise<readonly string[]> {
  const found: string[] = [];
  const walk = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await entries(join(dir, folder))) {
      const path = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.isDirectory()) {
        if (depth < MAX_FOLDERS && !SKIPPED_FOLDERS.has(entry.name)) await walk(path, depth + 1);
      } else if (!known.has(path) && !WEIGHTS.test(entry.name) && !OWN.has(path) && (await isFile(dir, path, entry))) {
        found.push(path);
      }
    }
  };
  await walk('', 0);
  return found.sort();
}

/** The names directly in `dir`. */
export const listNames = async (dir: string): Promise<readonly string[]> =>
  (await entries(dir)).map((entry) => entry.name);

async function isFile(dir: string, path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  return (await statIfThere(join(dir, path)))?.isFile() ?? false;
}

async function entries(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    throw fileError(error, path);
  }
}
