// ONNX Runtime reads external data from below one folder only, and resolves symbolic links before it checks that. A
// snapshot in the Hub's cache consists of links that lead out of it, so a graph gets the real folder of its files. This
// reads nothing new: the user named the checkpoint, links included, and openCheckpoint has already read these files.

import { realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileError } from '../../base/index.js';
import type { Graph, Initializer } from '../../graph/index.js';

/** The same graph with the real folder and names of its files. @throws ResourceError E_RESOURCE_… */
export async function followLinks(graph: Graph): Promise<Graph> {
  const { folder } = graph;
  if (folder === undefined) return graph;
  const files = [...new Set(graph.initializers.flatMap(({ source }) => (source.kind === 'file' ? [source.file] : [])))];
  if (files.length === 0) return graph;
  const real = new Map<string, string>();
  for (const file of files) real.set(file, await follow(join(folder, file)));
  const home = await follow(folder);
  if (files.every((file) => real.get(file) === join(home, file))) return graph;
  const common = commonFolder([...real.values()]);
  const place = (one: Initializer): Initializer =>
    one.source.kind === 'file'
      ? { ...one, source: { ...one.source, file: relative(common, real.get(one.source.file)!).replaceAll(sep, '/') } }
      : one;
  return { ...graph, folder: common, initializers: graph.initializers.map(place) };
}

async function follow(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw fileError(error, path);
  }
}

/** The deepest folder that contains all files. */
function commonFolder(files: readonly string[]): string {
  const [first, ...others] = files.map((file) => dirname(file).split(sep));
  let length = first!.length;
  for (const parts of others) {
    let same = 0;
    while (same < length && parts[same] === first![same]) same++;
    length = same;
  }
  return first!.slice(0, length).join(sep) || sep;
}
