// A CLIP or SigLIP with classes: their names as its own text trunk reads them. The text trunk is the given checkpoint's, and no run
// changes it, so all models of a run are scored against the same vectors.

import { withResources } from '../base/index.js';
import { classifyImages } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { loadTokenizer } from '../text/index.js';
import { readClassNames } from './class-names.js';
import { openEngine } from './engine.js';
import type { ImageSettings } from './image-options.js';
import type { RunSettings } from './settings.js';

/** The model itself without `classes`. @throws as `readClassNames`, `loadTokenizer` and `classifyImages` */
export async function nameClasses(
  model: Model,
  settings: RunSettings & Pick<ImageSettings, 'classes' | 'templates'>,
): Promise<Model> {
  const classes = await readClassNames(settings);
  if (!classes) return model;
  const { onProgress } = settings;
  onProgress({ kind: 'stage', stage: 'names of classes' });
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  return await withResources(async (own) =>
    classifyImages(await own(openEngine(model, settings)), model, { tokenizer, ...classes }),
  );
}
