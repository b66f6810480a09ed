// The names and shapes of a model’s tensors in a checkpoint, from a family’s names and a block’s parts. Names are those of
// the checkpoint.

import type { TensorInfo } from '../checkpoint/portable.js';
import { blockConfig } from './block-config.js';
import { ARCHITECTURES } from './blocks/architectures.js';
import { type BlockParts, type Fed, linearRole, ROUTER, type TapSite } from './blocks/parts.js';
import type { ModelConfig } from './config.js';
import type { EmbedSpec } from './families/embed-spec.js';
import type { LinearKind, Names, NormRole } from './families/names.js';
import { type ImageNames, imageNamesOf, imageTensors } from './image/tensors.js';
import type { TensorSource } from './nodes.js';

/**
 * A prunable linear: its module's name as in the checkpoint (without `.weight`), and W [rows = out, columns = in]. A
 * tensor that combines several (phi3's qkv) is one linear. If `transposed`, the file has Wᵀ: read it with `readLinear`.
 */
export type Linear = {
  readonly name: string;
  readonly kind: LinearKind;
  readonly block: number;
  readonly rows: number;
  readonly columns: number;
  /** The site where it reads its input. */
  readonly site: TapSite;
  /** What its rows become, and the rows of what lies one after another in it (blocks/parts.ts). */
  readonly feeds: Fed;
  readonly sections: readonly number[];
  readonly transposed: boolean;
  /** The expert it belongs to, where experts have their own linears. */
  readonly expert: number | undefined;
};

/** Names of tensors outside the blocks, and the prefix of names in blocks. */
export type TensorNames = {
  readonly embedding: string;
  readonly positions: string | undefined;
  readonly projectIn: string | undefined;
  readonly projectOut: string | undefined;
  /** The module of the norm before the head; undefined where there is none. */
  readonly finalNorm: string | undefined;
  readonly head: string;
  /** The linear that makes a sample's vector, where there is one. */
  readonly projection: string | undefined;
  /** `model.layers.`: a block's number and a dot follow. */
  readonly blocks: string;
  /** What stands before the blocks and after them where they read images. */
  readonly image: ImageNames | undefined;
};

/** The names of a model of `config`, where `has` says which tensors exist. */
export function tensorNamesOf(config: ModelConfig, has: (name: string) => boolean): TensorNames {
  const names = config.names;
  const base = baseOf(names, has);
  const own = names.head.map((name) => `${name}.weight`).find(has);
  const usual = `${base}${names.embedding}.weight`;
  // A tied pair may be stored under the head's name alone.
  const embedding = config.tied && own !== undefined && !has(usual) ? own : usual;
  const projected = config.embedding.width !== config.hidden;
  return {
    embedding,
    image: config.image && imageNamesOf(config.image, base, names),
    positions: config.embedding.positionOffset === undefined ? undefined : `${base}${names.positions}.weight`,
    projectIn: projected ? `${base}${names.projectIn}.weight` : undefined,
    projectOut: projected ? `${base}${names.projectOut}.weight` : undefined,
    finalNorm: config.finalNorm ? base + names.finalNorm : undefined,
    projection: config.embeds && projectionName(config.embeds.spec, base),
    head: config.tied ? embedding : (own ?? `${names.head[0]}.weight`),
    blocks: `${base}${names.blocks}.`,
  };
}

const projectionName = ({ projection }: EmbedSpec, base: string): string | undefined =>
  projection && (projection.below ? base : '') + projection.module;

/** The base of all names: that of the embedding or, if it is stored only as the head, that of a block. */
function baseOf({ bases, embedding, blocks, modules }: Names, has: (name: string) => boolean): string {
  const ends = [`${embedding}.weight`, `${blocks}.0.${modules.o}.weight`];
  return ends.map((end) => bases.find((base) => has(base + end))).find((base) => base !== undefined) ?? bases[0]!;
}

/** The names of embedding and head, if both are stored although config.json ties them. */
export function storedPair(
  config: ModelConfig,
  has: (name: string) => boolean,
): readonly [embedding: string, head: string] | undefined {
  const { embedding } = tensorNamesOf(config, has);
  const { head } = tensorNamesOf({ ...config, tied: false }, has);
  return config.tied && embedding !== head && has(embedding) && has(head) ? [embedding, head] : undefined;
}

/** A block's norms, linears and other tensors. */
const partsOf = (config: ModelConfig, block: number): BlockParts =>
  ARCHITECTURES[config.architecture].parts(blockConfig(config, block), block);

/** How names of a block's tensors begin: its number, or those of its stage and of its place there. */
function blockPrefix({ image }: ModelConfig, { blocks }: TensorNames, block: number): string {
  const stage = image ? image.stages.findLastIndex(({ first }) => first <= block) : -1;
  return stage < 0 ? `${blocks}${block}.` : `${blocks}${stage}.layers.${block - image!.stages[stage]!.first}.`;
}

/** What halves an image belongs to the first block of a stage, and has the stage's name. */
const stagePrefix = (prefix: string): string => prefix.slice(0, prefix.indexOf('layers.'));

/** Names the modules of a block by their roles. */
function moduleNames(config: ModelConfig, tensorNames: TensorNames, block: number) {
  const { modules: plain, gatedModules, experts } = config.names;
  const modules = config.gated ? { ...plain, ...gatedModules } : plain;
  const prefix = blockPrefix(config, tensorNames, block);
  return (role: LinearKind | NormRole | typeof ROUTER, expert?: number): string => {
    const own = role === ROUTER ? experts!.router : modules[role];
    const inBlock = expert === undefined ? own : `${experts!.before}${expert}.${experts!.modules[role as LinearKind]}`;
    return `${prefix}${inBlock}`;
  };
}

/** The prunable linears of a block, in the checkpoint's usual order. */
export function linearsOf(config: ModelConfig, tensorNames: TensorNames, block: number): readonly Linear[] {
  const nameOf = moduleNames(config, tensorNames, block);
  return partsOf(config, block).linears.map(({ role, rows, columns, site, feeds, sections, expert }) => ({
    name: nameOf(role, expert),
    kind: role,
    block,
    rows,
    columns,
    site,
    feeds,
    sections,
    transposed: config.transposed,
    expert,
  }));
}

/** A tensor of a block: its name, its shape in the file, and its role in the graph. */
export type BlockTensor = { readonly name: string; readonly role: string; readonly shape: readonly number[] };

/** All tensors of a block. */
export function blockTensors(config: ModelConfig, tensorNames: TensorNames, block: number): readonly BlockTensor[] {
  const { norms, linears, router, extras = [] } = partsOf(config, block);
  const nameOf = moduleNames(config, tensorNames, block);
  const tensors: BlockTensor[] = [];
  const add = (module: string, role: string, part: 'weight' | 'bias', shape: readonly number[]): void => {
    tensors.push({ name: `${module}.${part}`, role: `${role}.${part}`, shape });
  };
  for (const { role, width, weight, bias } of norms) {
    if (weight) add(nameOf(role), role, 'weight', [width]);
    if (bias) add(nameOf(role), role, 'bias', [width]);
  }
  if (router) add(nameOf(ROUTER), ROUTER, 'weight', [router.rows, router.columns]);
  for (const { role, rows, columns, bias, expert } of linears) {
    const [module, name] = [nameOf(role, expert), linearRole(role, expert)];
    add(module, name, 'weight', config.transposed ? [columns, rows] : [rows, columns]);
    if (bias) add(module, name, 'bias', [rows]);
  }
  const prefix = blockPrefix(config, tensorNames, block);
  for (const { role, shape } of extras) {
    const before = role.startsWith('halving.') ? stagePrefix(prefix) : prefix;
    tensors.push({ name: before + config.names.extras![role]!, role, shape });
  }
  return tensors;
}

/** What `find` gives for the name of a block's tensor, by its role; undefined where the block has none. */
export function tensorsByRole<T>(
  config: ModelConfig,
  tensorNames: TensorNames,
  block: number,
  find: (name: string) => T,
): (role: string) => T | undefined {
  const names = new Map(blockTensors(config, tensorNames, block).map(({ role, name }) => [role, name]));
  return (role) => {
    const name = names.get(role);
    return name === undefined ? undefined : find(name);
  };
}

/** Names and shapes of all tensors that a model needs. */
export function modelTensors(config: ModelConfig, tensorNames: TensorNames): ReadonlyMap<string, readonly number[]> {
  const { hidden: D, vocabulary, embedding, maxPositions } = config;
  const tensors = new Map<string, readonly number[]>(
    config.image
      ? imageTensors(config, tensorNames.image!)
      : [
          [tensorNames.embedding, [vocabulary, embedding.width]],
          [tensorNames.head, [vocabulary, embedding.width]],
        ],
  );
  const { positions, projectIn, projectOut, finalNorm, projection } = tensorNames;
  if (positions) tensors.set(positions, [maxPositions + embedding.positionOffset!, D]);
  if (projection) tensors.set(`${projection}.weight`, [config.embeds!.width, D]);
  if (projection && config.embeds!.spec.projection!.bias) tensors.set(`${projection}.bias`, [config.embeds!.width]);
  if (projectIn) tensors.set(projectIn, [D, embedding.width]);
  if (projectOut) tensors.set(projectOut, [embedding.width, D]);
  if (finalNorm && config.normAffine) {
    tensors.set(`${finalNorm}.weight`, [D]);
    if (config.norm === 'layer') tensors.set(`${finalNorm}.bias`, [D]);
  }
  for (let block = 0; block < config.blocks; block++) {
    for (const { name, shape } of blockTensors(config, tensorNames, block)) tensors.set(name, shape);
  }
  return tensors;
}

/** Names of the tensors of blocks that follow the last block that is read. They are in the file without being used. */
export const deadTensors = (config: ModelConfig, tensorNames: TensorNames): ReadonlySet<string> =>
  new Set(
    Array.from({ length: config.image?.dead ?? 0 }, (_, i) => config.blocks + i).flatMap((block) =>
      blockTensors(config, tensorNames, block).map(({ name }) => name),
    ),
  );

/** Whether a tensor is a buffer that older transformers saved with a block and that holds no weights. */
export const isBuffer = (config: ModelConfig, tensorNames: TensorNames, name: string): boolean =>
  name.startsWith(tensorNames.blocks) && config.names.buffers.some((end) => name.endsWith(end));

/** A tensor of a safetensors file as a graph initialiser that points into the file. */
export function inPlace(info: TensorInfo): TensorSource {
  const { name, dtype, shape, file, offset, length } = info;
  return { name, dtype, shape, source: { kind: 'file', file, offset, length } };
}
