// What stands between the trunk that reads images and the language model: the residual of an image becomes rows that take the
// places of image tokens. Inputs `x0`, `x1`, … [B, T, Dv], one for each layer that is read; output `rows` [B, R, D].
//   LLaVA:    linear_2(gelu(linear_1(x without the first row)))   several layers' rows are put side by side
//   Idefics3: proj(blocks of r×r rows of LN(x), put side by side)
// LLaVA has no norm after the last block that it reads; Idefics3 has one.

import { CheckpointError } from '../../base/portable.js';
import type { Checkpoint, TensorInfo } from '../../checkpoint/index.js';
import { givenPath } from '../../checkpoint/index.js';
import { type Graph, GraphBuilder, int, ints } from '../../graph/index.js';
import { activationNamed } from '../activations.js';
import type { ModelConfig } from '../config.js';
import type { Activation } from '../families/family.js';
import { activate, normalise, type TensorSource, weight } from '../nodes.js';
import { malformed, unsupported } from '../refuse.js';
import { gridOf } from './config.js';
import { residualShape } from './shapes.js';

type Projector =
  | { readonly kind: 'mlp'; readonly skipped: number; readonly activation: Activation; readonly bias: boolean }
  | { readonly kind: 'shuffle'; readonly factor: number };

export type Connector = {
  readonly projector: Projector;
  /** The token whose places the rows take. */
  readonly imageToken: number;
  /** R, rows of each image; their width. */
  readonly rows: number;
  readonly width: number;
  /** After how many blocks the residual is read: one place, or several. */
  readonly features: readonly number[];
  /** The linears' modules, and the norm's. */
  readonly names: readonly string[];
  readonly checkpoint: Checkpoint;
};

const LLAVA_BASES = ['multi_modal_projector.', 'model.multi_modal_projector.'];
const IDEFICS_BASES = ['model.connector.modality_projection.', 'connector.modality_projection.'];
/** transformers' token where config.json has none. */
const LLAVA_TOKEN = 32_000;
const IDEFICS_TOKEN = 128_257;
/**
 * Idefics3 finds a patch's position by its share of the side in float32, which puts some patches of these sides one place too early
 * (measured up to 64 with torch 2.15); of all others patch i has position i.
 */
const MISPLACED = [19, 25, 29, 31, 38, 40, 41, 43, 47, 49, 50, 54, 55, 58, 59, 61, 62];
const MOST_PLACED = 64;

/**
 * Reads the connector of a checkpoint, between trunks of these configs.
 * @throws UnsupportedError E_UNSUPPORTED_CONFIG, CheckpointError E_CHECKPOINT_…
 */
export function readConnector(
  checkpoint: Checkpoint,
  vision: ModelConfig,
  language: ModelConfig,
  finalNorm: string,
): Connector {
  const { config } = checkpoint;
  const image = vision.image!;
  const length = residualShape(vision, vision.blocks - 1, 0).length;
  const common = { width: language.hidden, features: image.features, checkpoint };
  const tokenOf = (keys: readonly string[], fallback: number): number => {
    const key = keys.find((one) => config[one] != null) ?? keys[0]!;
    const token = config[key] ?? fallback;
    const known = typeof token === 'number' && Number.isInteger(token) && token >= 0 && token < language.vocabulary;
    return known ? token : malformed(key, `a token below ${language.vocabulary}`, token);
  };
  const has = (name: string): boolean => checkpoint.tensors.has(name);
  const baseOf = (bases: readonly string[], end: string): string => bases.find((base) => has(base + end)) ?? bases[0]!;
  if (config.model_type === 'llava') {
    const strategy = config.vision_feature_select_strategy ?? 'default';
    if (strategy !== 'default' && strategy !== 'full')
      unsupported('vision_feature_select_strategy', strategy, 'default, full');
    const skipped = strategy === 'default' ? 1 : 0;
    const bias = (config.multimodal_projector_bias ?? true) === true;
    const activation = activationNamed('projector_hidden_act', config.projector_hidden_act ?? 'gelu');
    const base = baseOf(LLAVA_BASES, 'linear_1.weight');
    const names = [`${base}linear_1`, `${base}linear_2`];
    const [D, across] = [language.hidden, image.features.length * vision.hidden];
    requireTensors(checkpoint, [
      [`${names[0]}.weight`, [D, across]],
      [`${names[1]}.weight`, [D, D]],
      ...(bias ? names.map((name): [string, readonly number[]] => [`${name}.bias`, [D]]) : []),
    ]);
    return {
      ...common,
      projector: { kind: 'mlp', skipped, activation, bias },
      imageToken: tokenOf(['image_token_index', 'image_token_id'], LLAVA_TOKEN),
      rows: length - skipped,
      names,
    };
  }
  const { rows: down, columns: across } = gridOf(image, 0);
  const factor = config.scale_factor ?? 2;
  if (typeof factor !== 'number' || !Number.isInteger(factor) || factor < 1)
    return malformed('scale_factor', 'a whole number', factor);
  if (down !== across || down % factor !== 0)
    malformed('scale_factor', `a divisor of the sides of a square of ${down}×${across} patches`, factor);
  if (down > MOST_PLACED || MISPLACED.includes(down))
    unsupported(
      'image_size',
      image.height,
      `up to ${MOST_PLACED} patches a side, without ${MISPLACED.join(', ')}, of which transformers misplaces some; here are ${down}`,
    );
  const base = baseOf(IDEFICS_BASES, 'proj.weight');
  requireTensors(checkpoint, [
    [`${base}proj.weight`, [language.hidden, factor * factor * vision.hidden]],
    [`${finalNorm}.weight`, [vision.hidden]],
    [`${finalNorm}.bias`, [vision.hidden]],
  ]);
  return {
    ...common,
    projector: { kind: 'shuffle', factor },
    imageToken: tokenOf(['image_token_id', 'image_token_index'], IDEFICS_TOKEN),
    rows: (down / factor) ** 2,
    names: [`${base}proj`, finalNorm],
  };
}

/** @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_SHAPE, E_CHECKPOINT_DTYPE */
function requireTensors(checkpoint: Checkpoint, wanted: readonly [name: string, shape: readonly number[]][]): void {
  for (const [name, shape] of wanted) {
    const info: TensorInfo | undefined = checkpoint.tensors.get(name);
    const refuse = (code: string, what: string): never => {
      throw new CheckpointError(code, `${givenPath(checkpoint)}: tensor ${name} ${what}.`, { tensor: name });
    };
    if (!info)
      refuse('E_CHECKPOINT_MISSING', 'is missing; it is part of what turns images into rows of the language model');
    if (info!.shape.join() !== shape.join())
      refuse('E_CHECKPOINT_SHAPE', `has shape [${info!.shape}]; config.json requires [${shape}]`);
    if (!['F32', 'F16', 'BF16'].includes(info!.dtype))
      refuse('E_CHECKPOINT_DTYPE', `has dtype ${info!.dtype}; expected one of F32, F16, BF16`);
  }
}

export function buildConnectorGraph(
  { projector, features, names, rows, width }: Connector,
  vision: ModelConfig,
  { folder, find }: { readonly folder: string; readonly find: (name: string) => TensorSource },
): Graph {
  const g = new GraphBuilder();
  const { length: T, width: Dv } = residualShape(vision, vision.blocks - 1, 0);
  const inputs = features.map((_, i) => g.input(`x${i}`, 'f32', ['B', T, Dv]));
  const [first, second] = names as [string, string];
  const tensor = (name: string): string => weight(g, find(name));
  let made: string;
  if (projector.kind === 'mlp') {
    const { skipped, activation, bias } = projector;
    const beside = inputs.length === 1 ? inputs[0]! : g.op('Concat', inputs, { axis: int(2) });
    const kept = skipped === 0 ? beside : g.op('Slice', [beside, g.shape([skipped]), g.shape([T]), g.shape([1])]);
    const flat = g.op('Reshape', [kept, g.shape([-1, Dv * inputs.length])]);
    const linear = (x: string, name: string): string =>
      g.op('Gemm', [x, tensor(`${name}.weight`), ...(bias ? [tensor(`${name}.bias`)] : [])], { transB: int(1) });
    made = linear(activate(g, { activation }, linear(flat, first)), second);
  } else {
    const { factor: r } = projector;
    const side = gridOf(vision.image!, 0).rows / r;
    const norm = { scale: find(`${second}.weight`), bias: find(`${second}.bias`), width: Dv };
    const parted = g.op('Reshape', [normalise(g, vision, inputs[0]!, norm), g.shape([-1, side, r, side, r, Dv])]);
    const turned = g.op('Transpose', [parted], { perm: ints([0, 1, 3, 2, 4, 5]) });
    const flat = g.op('Reshape', [turned, g.shape([-1, r * r * Dv])]);
    made = g.op('Gemm', [flat, tensor(`${first}.weight`)], { transB: int(1) });
  }
  g.output(g.op('Reshape', [made, g.shape([-1, rows, width])]), 'rows', ['B', rows, width]);
  return g.build('connector', folder);
}
