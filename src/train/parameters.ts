// Which tensors of a model are trained, and as what: `kept` all of a block's linears without their zeros, its norms and its
// biases; `lora` the linears by low-rank additions; `norms` norms and biases; `blocks` as kept, in some blocks; `new` all of the
// blocks that were grown, zeros too. Routers of experts, the embeddings, the final norm and the head stay as they are.

import { createRng, OptionError } from '../base/index.js';
import { readScales, readTensorFloat32 } from '../checkpoint/index.js';
import { blockTensors, type Linear, type Model, readLinear, weightName } from '../model/index.js';
import { type GridParameter, gridParameter } from './grid-parameter.js';
import { keptParameter, loraParameter, type Parameter } from './parameter.js';

export type Trained =
  | { readonly kind: 'kept' }
  | { readonly kind: 'lora'; readonly rank: number; readonly adapter: boolean }
  | { readonly kind: 'norms' }
  | { readonly kind: 'blocks'; readonly blocks: readonly number[] }
  | { readonly kind: 'new'; readonly blocks: readonly number[] };

/** s of W + s·BA is LORA_ALPHA: alpha is that many times the rank. */
export const LORA_ALPHA = 2;

/** What is trained of a model. */
export interface Parameters {
  /** The names of the trained tensors, by block. */
  readonly tensors: readonly (readonly string[])[];
  /** Makes the parameters of a block. They begin at the same values at each call. */
  open(block: number): Promise<readonly Parameter[]>;
}

/** Says what is trained; values are read a block at a time. */
export async function openParameters(model: Model, trained: Trained, seed: number): Promise<Parameters> {
  const scales = await scalesOf(model);
  const blocks = model.linears.map((_, block) => trainedTensors(model, trained, block));
  return {
    tensors: blocks.map((tensors) => tensors.map(({ name }) => name)),
    open: async (block) => {
      const made: Parameter[] = [];
      for (const [i, { name, linear }] of blocks[block]!.entries()) {
        if (linear) made.push(await linearParameter(model, linear, trained, scales, seed + (block + 1) * 1000 + i));
        else {
          const values = await readTensorFloat32(model.checkpoint, name);
          made.push(keptParameter(name, values, { zeros: 'move', decays: false }));
        }
      }
      return made;
    },
  };
}

/** The parameters of all blocks, in memory. */
export async function openAll({ tensors, open }: Parameters): Promise<readonly (readonly Parameter[])[]> {
  const all: (readonly Parameter[])[] = [];
  for (const block of tensors.keys()) all.push(await open(block));
  return all;
}

/** Parameters that are in memory, by block. */
export const holdParameters = (all: readonly (readonly Parameter[])[]): Parameters => ({
  tensors: all.map((parameters) => parameters.map(({ tensor }) => tensor)),
  open: async (block) => all[block]!,
});

function trainedTensors(
  { config, tensorNames, linears }: Model,
  trained: Trained,
  block: number,
): readonly { readonly name: string; readonly linear: Linear | undefined }[] {
  if ('blocks' in trained && !trained.blocks.includes(block)) return [];
  const weights = new Map(linears[block]!.map((linear) => [weightName(linear), linear]));
  return blockTensors(config, tensorNames, block)
    .map(({ name, role }) => ({ name, role, linear: weights.get(name) }))
    .filter(({ role, linear }) => (linear ? trained.kind !== 'norms' : role !== ROUTER && trained.kind !== 'lora'));
}

/**
 * Refuses what cannot be trained, from headers alone.
 * @throws OptionError E_OPTION_TRAIN
 */
export async function checkTrained(model: Model, trained: Trained): Promise<void> {
  if (trained.kind === 'lora' && !trained.adapter) {
    const [grid] = (await scalesOf(model))?.grids.keys() ?? [];
    if (grid === undefined) return;
    const message = `--train lora: ${grid} lies on a grid of few levels, and what is merged into it would not. Use --train kept, or --adapter.`;
    throw new OptionError('E_OPTION_TRAIN', message, { option: 'train', got: 'lora', tensor: grid });
  }
  const { config, tensorNames, linears } = model;
  const weights = new Set(linears.flat().map(weightName));
  const others = Array.from({ length: config.blocks }, (_, block) => blockTensors(config, tensorNames, block))
    .flat()
    .filter(({ name, role }) => role !== ROUTER && !weights.has(name));
  if (trained.kind !== 'norms' || others.length > 0) return;
  const message = '--train: this model has no norms or biases to train. Use --train kept.';
  throw new OptionError('E_OPTION_TRAIN', message, { option: 'train', got: trained.kind });
}

const scalesOf = (model: Model): ReturnType<typeof readScales> =>
  readScales(
    model.checkpoint,
    model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) })),
  );

const ROUTER = 'router.weight';

async function linearParameter(
  model: Model,
  linear: Linear,
  trained: Trained,
  scales: Awaited<ReturnType<typeof readScales>>,
  seed: number,
): Promise<Parameter> {
  const { checkpoint } = model;
  const name = weightName(linear);
  const { transposed } = linear;
  if (trained.kind === 'lora') {
    return loraParameter(name, await readTensorFloat32(checkpoint, name), {
      out: linear.rows,
      in: linear.columns,
      transposed,
      rank: trained.rank,
      scale: LORA_ALPHA,
      masked: !trained.adapter,
      rng: createRng(seed),
    });
  }
  if (scales?.grids.has(name)) {
    const { dtype } = checkpoint.tensors.get(name)!;
    const grid = await scales.read(name, await readLinear(checkpoint, linear), dtype);
    return gridParameter(name, grid, transposed);
  }
  const zeros = trained.kind === 'new' ? 'move' : 'stay';
  return keptParameter(name, await readTensorFloat32(checkpoint, name), { zeros, decays: true });
}

export const isGrid = (parameter: Parameter): parameter is GridParameter => 'bits' in parameter;
