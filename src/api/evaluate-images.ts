// Scores a model on images: cross-entropy, top-1 and top-5 where they have labels, and how far it is from the dense model with --dense.

import { OptionError, withResources } from '../base/index.js';
import { calibrationOf } from '../checkpoint/index.js';
import { compareModels, evaluateStream, summariseFidelity } from '../evaluate/index.js';
import { blameWeights, type Model } from '../model/index.js';
import type { Evaluation, Fidelity, ManifestText } from '../records/index.js';
import {
  checkImages,
  type ImageSettings,
  nameClasses,
  openEngine,
  openSource,
  prepareImageSet,
  type RunSettings,
} from '../runs/index.js';
import type { Activations } from '../stream/index.js';
import { runDense } from './dense-model.js';

export type ImageScores = {
  /** Undefined where the images have no labels. */
  readonly evaluation: Evaluation | undefined;
  readonly dense: Evaluation | undefined;
  readonly source: ManifestText;
  readonly fidelity: Fidelity | undefined;
  readonly calibration: ManifestText | undefined;
};

type Asked = ImageSettings & { readonly images: string; readonly dense: string | undefined };

/** @throws as `prune`, for its checkpoint and images; OptionError E_OPTION_DENSE, E_OPTION_LABELS */
export async function evaluateImages(checkpoint: string, asked: Asked, settings: RunSettings): Promise<ImageScores> {
  const { onProgress } = settings;
  const opened = await openSource(checkpoint, onProgress, { images: true });
  if (!opened.config.image) {
    throw new OptionError(
      'E_OPTION_IMAGES',
      opened.trunks.includes('language')
        ? `--images: ${checkpoint} answers questions about images. Use --qa.`
        : `--images: ${checkpoint} is a ${opened.config.family} model, which reads text. Use --text.`,
      { option: 'images', family: opened.config.family },
    );
  }
  // Without classes the vectors of images have nothing to be compared with, with --dense neither.
  checkImages({ ...asked, test: asked.images }, opened);
  const original = asked.dense === undefined ? undefined : await openSource(asked.dense, onProgress, { images: true });
  if (original) checkImages({ ...asked, test: asked.images }, original);
  const named = { ...settings, classes: asked.classes, templates: asked.templates };
  const model = await nameClasses(opened, named);
  const dense = original && (await nameClasses(original, named));
  if (dense) requireAlike(model, dense);
  const { images, labels, orientation, classes, templates } = asked;
  const request = { path: images, order: 'all', seed: 0, labels, orientation, classes, templates, onProgress } as const;
  const { content, record } = await prepareImageSet(model, request);
  if (!content.labels && !dense) {
    throw new OptionError(
      'E_OPTION_LABELS',
      `--images: ${images} says no classes, so only --dense can be compared with. Give images in one folder per class, --labels, or --dense.`,
      { option: 'labels' },
    );
  }
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const stream = await runDense(own, engine, model, content, 'evaluating', settings);
    const before = dense && (await runDense(own, engine, dense, content, 'the dense model', settings));
    const scoreOf = async (of: Model, residual: Activations): Promise<Evaluation | undefined> =>
      content.labels ? await evaluateStream(engine, of, residual, content) : undefined;
    const compared =
      dense && before ? await compareModels(engine, { model, stream }, { model: dense, stream: before }) : undefined;
    return {
      evaluation: await scoreOf(model, stream),
      dense: dense && before ? await scoreOf(dense, before) : undefined,
      source: record,
      fidelity: compared && { text: 'test' as const, ...summariseFidelity(compared), greedy: null },
      calibration: await calibrationOf(model.checkpoint.dir),
    };
  }).catch((error) => blameWeights(model, error));
}

/** @throws OptionError E_OPTION_DENSE where the two would not see the same pixels or have other classes */
function requireAlike(model: Model, dense: Model): void {
  const classes = (one: Model): string => JSON.stringify(one.config.image?.labels);
  const size = ({ config: { image } }: Model): string => `${image?.width}×${image?.height}`;
  const refuse = (expected: string, got: string): never => {
    throw new OptionError(
      'E_OPTION_DENSE',
      `--dense: expected the checkpoint that the model was made from, with ${expected}, got ${got}. Pass the original.`,
      { option: 'dense', expected, got },
    );
  };
  if (size(model) !== size(dense)) refuse(`images of ${size(model)} pixels`, size(dense));
  if (classes(model) !== classes(dense)) refuse(`its ${model.config.image!.labels.length} classes`, 'others');
}
