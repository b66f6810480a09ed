// The checkpoint and the texts of every job: a path on this machine, or a name on the Hub, which is downloaded. A GGUF file
// becomes its twin here, and is a checkpoint to everything after.

import { basename } from 'node:path';
import { CheckpointError, cacheFolder, type OnProgress } from '../base/index.js';
import { activationsOf, givenPath, isGgufPath, type Origin, refuseActivations } from '../checkpoint/index.js';
import { openTwin } from '../gguf/index.js';
import { describeSnapshot, resolveModel, resolveText, type TextRole } from '../hub/index.js';
import {
  type ActivationGrid,
  type ActivationGrids,
  type Model,
  openModel,
  refuseImages,
  type TrunkName,
} from '../model/index.js';
import type { ActivationsRecord } from '../records/index.js';
import { type Corpus, readCorpus } from '../text/index.js';
import { fitToImages } from './images.js';

/** Where a model is: a .lw file or a checkpoint's directory, and the GGUF file that the latter was made from. */
export type Source = { readonly path: string; readonly origin?: Origin };

/** Finds a model by its path or its name on the Hub. @throws as `resolveModel` and `openTwin` */
export async function resolveSource(nameOrPath: string, onProgress: OnProgress): Promise<Source> {
  // No name on the Hub: a file that is not there is no reason to ask for it.
  const isFile = /\.gguf$/i.test(nameOrPath);
  const path = isFile ? nameOrPath : await resolveModel(nameOrPath, { onProgress });
  if (!(await isGgufPath(path))) return { path };
  const { dir, ...origin } = await openTwin(path, cacheFolder('gguf'), onProgress);
  return { path: dir, origin };
}

export type SourceOptions = {
  /** Whether the caller can use models that read images, which are else refused; they are then for images of the size that their preprocessing makes. */
  readonly images?: boolean;
  /** Which of several trunks. Defaults to the main one. */
  readonly trunk?: TrunkName | undefined;
  /** A checkpoint whose record says that activations are quantised is refused, or opened so that they are. Defaults to `refuse`. */
  readonly activations?: 'refuse' | 'obey';
};

/**
 * Opens a checkpoint by its directory, its GGUF file or its name on the Hub, and reports its notes.
 * @throws as `resolveSource` and `openModel`; UnsupportedError E_UNSUPPORTED_ACTIVATIONS, E_UNSUPPORTED_IMAGES
 */
export async function openSource(
  checkpoint: string,
  onProgress: OnProgress,
  { images = false, trunk, activations: quantised = 'refuse' }: SourceOptions = {},
): Promise<Model> {
  const { path, origin } = await resolveSource(checkpoint, onProgress);
  if (!origin && quantised === 'refuse') await refuseActivations(path);
  const opened = await openModel(path, origin, trunk);
  if (!images) refuseImages(opened);
  const model = images ? await fitToImages(opened) : opened;
  for (const text of model.notes) onProgress({ kind: 'note', text });
  const record = origin ? undefined : await activationsOf(path);
  if (!record) return model;
  const { weights, activations } = record.bits;
  const text = `Activations are quantised to ${activations} bits, weights to ${weights}, as layerwise.json says.`;
  onProgress({ kind: 'note', text });
  return { ...model, activations: gridsOfRecord(model, record) };
}

/** By block and site, the grids of a record. @throws CheckpointError E_CHECKPOINT_ACTIVATIONS where it is not the model's */
function gridsOfRecord(model: Model, { layers, bits }: ActivationsRecord): readonly ActivationGrids[] {
  return model.linears.map((linears, block) => {
    const grids = new Map<string, ActivationGrid>();
    for (const layer of layers) {
      if (layer.block !== block) continue;
      for (const [site, range] of Object.entries(layer.sites)) {
        grids.set(site, { bits: bits.activations, range: range ?? 'token', clip: layer.clip });
      }
    }
    const missing = linears.find(({ site }) => !grids.has(site));
    if (!missing) return grids;
    throw new CheckpointError(
      'E_CHECKPOINT_ACTIVATIONS',
      `${model.checkpoint.dir}: layerwise.json has no clip for the input of ${missing.name}. It belongs to another checkpoint; quantise again.`,
      { path: model.checkpoint.dir, linear: missing.name },
    );
  });
}

export type SourceName = {
  /** The name on the Hub, or the name of the directory or the GGUF file. */
  readonly name: string;
  /** The commit on the Hub, if the checkpoint is in the Hub's cache. */
  readonly commit?: string;
};

/** The checkpoint's name in records: for a snapshot in the Hub's cache its name on the Hub. */
export const nameSource = ({ checkpoint }: Model): SourceName =>
  describeSnapshot(checkpoint.dir) ?? { name: basename(givenPath(checkpoint)) };

/** The checkpoint at the head of a record, with the SHA-256 of each of its files that matter. */
export const describeModel = (model: Model, hashes: Readonly<Record<string, string>>) => ({
  ...nameSource(model),
  family: model.config.family,
  blocks: model.config.blocks,
  hashes: { ...hashes },
});

/** Reads a text by its path or the name of a data set. `name` is its name in records. */
export async function readText(
  nameOrPath: string,
  role: TextRole,
  onProgress: OnProgress,
): Promise<{ readonly corpus: Corpus; readonly name: string }> {
  const { path, name, selection } = await resolveText(nameOrPath, role, onProgress);
  return { corpus: await readCorpus(path, selection), name: name ?? basename(path) };
}
