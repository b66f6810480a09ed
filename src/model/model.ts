// A checkpoint and what its config means: the graph of each block, the places of its tensors, the prunable linears.

import { UnsupportedError } from '../base/index.js';
import { type Checkpoint, givenPath, type Origin, openCheckpoint } from '../checkpoint/index.js';
import type { Graph } from '../graph/index.js';
import { elementCount } from '../tensor/index.js';
import { buildBlockGraph } from './block.js';
import type { ActivationGrids, BlockOutputs, PrefixTreeRows, WeightInput } from './blocks/graph-block-builder.js';
import { checkTensors, noteUnused, settleTie, tiedTwin } from './check.js';
import { type ModelConfig, readModelConfig } from './config.js';
import { embedTensorNames } from './embed-head.js';
import { TOWERS, trunksOf } from './families/towers.js';
import type { TrunkName } from './families/towers-spec.js';
import { buildHeadGraph, type HeadOutput } from './head.js';
import { buildConnectorGraph, type Connector, readConnector } from './image/connector.js';
import { buildPoolGraph } from './image/pool.js';
import { withImageSize } from './image/shapes.js';
import { buildStemGraph } from './image/stem.js';
import { isDistilled } from './image/tensors.js';
import type { TensorSource } from './nodes.js';
import { unsupported } from './refuse.js';
import {
  blockTensors,
  inPlace,
  isBuffer,
  type Linear,
  linearsOf,
  type TensorNames,
  tensorNamesOf,
} from './tensor-names.js';

export type Model = {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig;
  /** Which of the checkpoint's trunks this is, and all of them; undefined and none where it has one. */
  readonly trunk: TrunkName | undefined;
  readonly trunks: readonly TrunkName[];
  readonly tensorNames: TensorNames;
  /** Prunable linears of each block. */
  readonly linears: readonly (readonly Linear[])[];
  /** Bytes of the weight tensors. */
  readonly bytes: number;
  /** The number of parameters (tied ones once), of prunable weights, and of weights in the largest block. */
  readonly parameters: number;
  readonly prunable: number;
  readonly blockWeights: number;
  /** By block and tap site: how linears read their inputs. Absent where they read them as they are. */
  readonly activations?: readonly ActivationGrids[] | undefined;
  /** How differences between config.json and the tensors were resolved, a sentence or two each. */
  readonly notes: readonly string[];
};

/**
 * Opens a checkpoint directory and checks that it is a model we can run. Reads headers only, with one exception: a stored
 * head that should be tied to the embeddings is compared with them. `origin` is the file that the directory was made from.
 * @throws CheckpointError E_CHECKPOINT_…, UnsupportedError E_UNSUPPORTED_…, ResourceError E_RESOURCE_…
 */
export async function openModel(dir: string, origin?: Origin, trunk?: TrunkName): Promise<Model> {
  return await openTrunk(await openCheckpoint(dir, origin), trunk);
}

/** Opens a trunk of a checkpoint: the given one, or the main one. @throws as `openModel` */
export async function openTrunk(checkpoint: Checkpoint, trunk?: TrunkName): Promise<Model> {
  const stated = settleHeads(readModelConfig(checkpoint.config, trunk), (name) => checkpoint.tensors.has(name));
  const { config, notes } = await settleTie(stated, checkpoint);
  const tensorNames = tensorNamesOf(config, (name) => checkpoint.tensors.has(name));
  checkTensors(config, tensorNames, checkpoint);
  const linears = Array.from({ length: config.blocks }, (_, block) => linearsOf(config, tensorNames, block));
  const weights = linears.map((block) => block.reduce((sum, { rows, columns }) => sum + rows * columns, 0));
  const twin = tiedTwin(config, checkpoint);
  let parameters = 0;
  let bytes = 0;
  for (const { name, shape, length } of checkpoint.tensors.values()) {
    if (name !== twin && !isBuffer(config, tensorNames, name)) parameters += elementCount(shape);
    bytes += length;
  }
  const trunks = trunksOf(checkpoint.config);
  return {
    checkpoint,
    config,
    trunk: trunks.length === 0 ? undefined : (trunk ?? TOWERS.get(String(checkpoint.config.model_type))!.main),
    trunks,
    tensorNames,
    linears,
    bytes,
    parameters,
    prunable: weights.reduce((a, b) => a + b, 0),
    blockWeights: Math.max(...weights),
    notes: [...(checkpoint.notes ?? []), ...notes, ...noteDead(config), ...noteUnused(config, tensorNames, checkpoint)],
  };
}

/** A note about blocks that nothing reads. */
function noteDead({ blocks, image }: ModelConfig): readonly string[] {
  const dead = image?.dead ?? 0;
  if (dead === 0) return [];
  const which = dead === 1 ? `Block ${blocks}` : `Blocks ${blocks} to ${blocks + dead - 1}`;
  return [
    `${which} of the vision trunk: nothing reads the output (vision_feature_layer), so it is outside every budget and stays as it is.`,
  ];
}

/** Which heads a classifier has: a distilled DeiT has two. */
function settleHeads(config: ModelConfig, has: (name: string) => boolean): ModelConfig {
  const { image, embeds } = config;
  const projection = embeds?.spec.projection;
  // Checkpoints of one tower come with its projection or without.
  if (projection && !projection.below && config.within === undefined && !has(`${projection.module}.weight`)) {
    const bare = { ...config, embeds: undefined, headless: true };
    return image ? { ...bare, image: { ...image, head: 'features' } } : bare;
  }
  if (config.embeds && has('classifier.weight'))
    unsupported('architectures', 'a classifier of patches', 'the whole CLIP or SigLIP');
  const distilled = image !== undefined && image.spec.tokens.length > 1 && isDistilled(has);
  return distilled ? { ...config, image: { ...image, head: 'distilled' } } : config;
}

/** Where a block’s tensors come from: the checkpoint itself, or a file with another version of the block. */
export type BlockSource = { readonly folder: string; readonly find: (name: string) => TensorSource };

/** The checkpoint's own tensors, in place. */
export function checkpointSource(checkpoint: Checkpoint): BlockSource {
  return { folder: checkpoint.dir, find: (name) => inPlace(checkpoint.tensors.get(name)!) };
}

/** The graph of block `block` for windows of `length` tokens, with tensors from `source`. */
export function blockGraph(
  model: Model,
  block: number,
  options: {
    readonly length: number;
    readonly outputs: BlockOutputs;
    readonly weighted?: boolean;
    readonly trees?: PrefixTreeRows;
    readonly source?: BlockSource;
    readonly weightInput?: WeightInput;
  },
): Graph {
  const { length, outputs, weighted, trees, source = checkpointSource(model.checkpoint), weightInput } = options;
  return buildBlockGraph(model.config, model.tensorNames, block, {
    ...{ ...source, length, outputs, weighted, trees, weightInput },
    activations: model.activations?.[block],
  });
}

/** The graph from the last block's residual to one result of the logits. */
export function headGraph(
  model: Model,
  outputs: HeadOutput,
  options: { readonly source?: BlockSource; readonly referenceApart?: boolean; readonly streams?: number } = {},
): Graph {
  const { source = checkpointSource(model.checkpoint), ...rest } = options;
  return buildHeadGraph(model.config, model.tensorNames, { ...source, outputs, ...rest });
}

/** The graph from normalised patches to the residual before block 0. `positions` are the table's rows for this size of image. */
export function stemGraph(model: Model, positions: Float32Array | undefined): Graph {
  const source = checkpointSource(model.checkpoint);
  return buildStemGraph(model.config, model.tensorNames.image!, { ...source, positions });
}

/** The graph from an image's residual after the last block, of `length` rows, to the row that the head reads; undefined where the head reads every row. */
export function poolGraph(model: Model, length: number): Graph | undefined {
  const { config, tensorNames, checkpoint } = model;
  if (!config.image) return undefined;
  return buildPoolGraph(config, tensorNames.image!, { ...checkpointSource(checkpoint), length });
}

/**
 * What turns the residual of a trunk that reads images into rows of the language model.
 * @throws UnsupportedError E_UNSUPPORTED_CONFIG, CheckpointError E_CHECKPOINT_…
 */
export function openConnector({ checkpoint, config, tensorNames }: Model): Connector {
  return readConnector(
    checkpoint,
    config,
    readModelConfig(checkpoint.config, 'language'),
    tensorNames.image!.finalNorm,
  );
}

/** The graph of a connector, from the residual of `vision`. */
export const connectorGraph = (connector: Connector, vision: Model): Graph =>
  buildConnectorGraph(connector, vision.config, checkpointSource(vision.checkpoint));

/** A model for images of another size. @throws OptionError E_OPTION_IMAGE_SIZE */
export const resizeModel = (model: Model, height: number, width: number, interpolate?: boolean): Model => ({
  ...model,
  config: withImageSize(model.config, height, width, interpolate),
});

/** Names of the tensors that the head reads. */
export function headTensorNames({ config, tensorNames }: Model): readonly string[] {
  const { image } = tensorNames;
  if (config.embeds || config.headless) return config.embeds ? embedTensorNames(config, tensorNames) : [];
  if (image) return [image.finalNorm, ...image.heads].flatMap((module) => [`${module}.weight`, `${module}.bias`]);
  const { finalNorm, projectOut, head } = tensorNames;
  const scale = finalNorm !== undefined && config.normAffine ? [`${finalNorm}.weight`] : [];
  const bias = scale.length > 0 && config.norm === 'layer' ? [`${finalNorm}.bias`] : [];
  return [...scale, ...bias, ...(projectOut === undefined ? [] : [projectOut]), head];
}

/** Names of all tensors of a block. */
export const blockTensorNames = (model: Model, block: number): readonly string[] =>
  blockTensors(model.config, model.tensorNames, block).map(({ name }) => name);

/** For what takes models of text alone. @throws UnsupportedError E_UNSUPPORTED_IMAGES where the model reads images */
export function refuseImages({ config: { family, image }, checkpoint }: Model): void {
  if (!image) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_IMAGES',
    `${givenPath(checkpoint)}: a ${family} model reads images, and this command is for models that read text. Models that read images can be pruned, quantised (but for --method qvlm), compared, cut, evaluated and inspected.`,
    { family },
  );
}
