// The tensors of new blocks: copies, means of the two neighbours, zeros in what writes into the residual (LLaMA Pro), or matrices
// predicted from the neighbours (LESA; operators/predict.ts). LESA's norms, biases and routers are means: its published code
// copies the first block's norms. A linear that is several in one tensor (phi3's qkv) is predicted part by part, each expert's
// from the same expert of other blocks. Predictions go into a file for each kind of linear, so an interrupted run keeps them.

import { join } from 'node:path';
import { NumericError, type OnProgress, UnsupportedError } from '../base/index.js';
import {
  hasScales,
  keepTensor,
  readSafetensors,
  readTensor,
  readTensorFloat32,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from '../checkpoint/index.js';
import type { Gemm } from '../linalg/index.js';
import {
  biasName,
  blockTensors,
  type Linear,
  type Model,
  placeOf,
  readLinear,
  seamGraph,
  tensorAt,
  toStored,
  weightName,
} from '../model/index.js';
import { fitPredictor, type HeldOut, type Stack } from '../operators/index.js';
import type { GrowMethod, GrownBlock } from '../plan/index.js';
import { fromFloat32 } from '../tensor/index.js';
import { storable } from './edit-linear.js';

export type Growing = {
  readonly model: Model;
  readonly method: GrowMethod;
  readonly grown: readonly GrownBlock[];
};

/** LESA's triples of one kind of linear: fewer cannot be held out in turn. */
const LEAST_TRIPLES = 2;

/**
 * Refuses what would not be what its name says, before any weight is read.
 * @throws UnsupportedError E_UNSUPPORTED_GROW
 */
export async function requireGrowable({ model, method, grown }: Growing): Promise<void> {
  const refuse = (why: string, facts: Readonly<Record<string, unknown>> = {}): never => {
    throw new UnsupportedError('E_UNSUPPORTED_GROW', `--method ${method.name}: ${why}`, {
      method: method.name,
      family: model.config.family,
      ...facts,
    });
  };
  if (await hasScales(model.checkpoint)) {
    refuse('the checkpoint is quantised (layerwise.scales). Grow the dense checkpoint, and quantise the result.');
  }
  if (method.name === 'llama-pro' && endsWithWholeNorm(model)) {
    refuse('each block ends with a norm of the whole residual, so no block leaves it as it is. Use copy or average.');
  }
  for (const { of } of grown) {
    if (of?.length !== 2) continue;
    const [a, b] = of.map((block) => outlineOf(model, block));
    if (a !== b) {
      refuse(
        `blocks ${of.join(' and ')} have other tensors (one of them has experts, or other widths), so nothing is between them. Use copy, or another --where.`,
        { blocks: of },
      );
    }
  }
  if (method.name !== 'lesa') return;
  const wanted = new Set(grown.flatMap(({ of }) => of ?? []));
  for (const { name, parts } of kindsOf(model, wanted)) {
    const { triples } = parts[0]!;
    if (triples.length < LEAST_TRIPLES) {
      refuse(
        `${name} is in the middle of ${triples.length} runs of three blocks alike; ${LEAST_TRIPLES} are needed to learn how blocks follow each other. Use average.`,
        { linear: name, triples: triples.length },
      );
    }
  }
}

/** Whether the last norm reads the whole residual, and not only what the block adds to it (gemma). */
function endsWithWholeNorm(model: Model): boolean {
  const { end } = seamGraph(model, 0, 1);
  return end.kind === 'norm' && end.whole;
}

/** Names and shapes of a block's tensors, as one text. */
function outlineOf({ config, tensorNames, checkpoint }: Model, block: number): string {
  const tensors = blockTensors(config, tensorNames, block).map(({ name }) => checkpoint.tensors.get(name)!);
  return tensors.map(({ name, shape }) => `${placeOf(name, tensorNames.blocks)!.rest} ${shape.join('×')}`).join('\n');
}

/** Linears of one name within a block, over all blocks that have it alike; a stack for each of its parts. */
type Kind = { readonly name: string; readonly parts: readonly Stack[] };

function kindsOf(model: Model, wanted: ReadonlySet<number>): readonly Kind[] {
  const { tensorNames } = model;
  const byName = new Map<string, Map<number, Linear>>();
  for (const linears of model.linears) {
    for (const linear of linears) {
      const { rest } = placeOf(weightName(linear), tensorNames.blocks)!;
      const own = byName.get(rest) ?? new Map<number, Linear>();
      byName.set(rest, own.set(linear.block, linear));
    }
  }
  return [...byName].flatMap(([name, own]): readonly Kind[] => {
    const blocks = [...own.keys()];
    if (!blocks.some((block) => wanted.has(block))) return [];
    const { rows, columns, sections } = own.get(blocks[0]!)!;
    const alike = blocks.filter((block) => own.get(block)!.rows === rows && own.get(block)!.columns === columns);
    const triples = alike.filter((block) => alike.includes(block - 1) && alike.includes(block + 1));
    let top = 0;
    const parts = sections.map((height): Stack => {
      const [from, to] = [top * columns, (top + height) * columns];
      top += height;
      const read = async (block: number): Promise<Float32Array> =>
        (await readLinear(model.checkpoint, own.get(block)!)).slice(from, to);
      return { name, rows: height, columns, triples, blocks: alike, read };
    });
    return [{ name, parts }];
  });
}

export type Predictions = {
  /** Errors on held-out triples, by the name of a linear within a block, and its part. */
  readonly heldOut: readonly (HeldOut & { readonly name: string })[];
  /** The edit of a new block's tensor, by its name within the block; undefined for what is not predicted. */
  find(at: number, rest: string): TensorToWrite | undefined;
};

/** Predicts the linears of all new blocks, one kind after another, into files in `dir`. `step` keeps results. */
export async function predictLinears(
  { model, grown }: Growing,
  gemm: Gemm,
  dir: string,
  step: <T>(name: string, make: () => Promise<T>) => Promise<T>,
  onProgress: OnProgress,
): Promise<Predictions> {
  const fresh = grown.flatMap(({ of }, at) => (of ? [{ at, before: of[0]! }] : []));
  const kinds = kindsOf(model, new Set(fresh.map(({ before }) => before)));
  const heldOut: (HeldOut & { readonly name: string })[] = [];
  const found = new Map<string, TensorToWrite>();
  onProgress({ kind: 'stage', stage: 'predicting', total: kinds.length, unit: 'step' });
  for (const [index, { name, parts }] of kinds.entries()) {
    const path = join(dir, `predicted-${String(index).padStart(5, '0')}.safetensors`);
    const own = fresh.filter(({ before }) => parts[0]!.blocks.includes(before));
    const key = (at: number): string => `${at}.${name}`;
    const errors = await step(`predicted-${index}`, async () => {
      const { errors, tensors } = await predictKind(model, name, parts, own, gemm);
      await writeSafetensors(
        path,
        tensors.map((tensor, i) => ({ ...tensor, name: key(own[i]!.at) })),
      );
      return errors;
    });
    heldOut.push(...errors);
    const { tensors } = await readSafetensors(path);
    for (const { at } of own) {
      const { dtype, shape } = tensors.get(key(at))!;
      const read = (): Promise<Uint8Array> => readTensor({ ...model.checkpoint, dir, tensors }, key(at));
      found.set(key(at), { name: key(at), dtype, shape, read });
    }
    onProgress({ kind: 'advance', detail: name });
  }
  return { heldOut, find: (at, rest) => found.get(`${at}.${rest}`) };
}

async function predictKind(
  model: Model,
  name: string,
  parts: readonly Stack[],
  fresh: readonly { readonly at: number; readonly before: number }[],
  gemm: Gemm,
) {
  const errors: (HeldOut & { readonly name: string })[] = [];
  const made = fresh.map(() => [] as Float32Array[]);
  for (const [part, stack] of parts.entries()) {
    const { heldOut, predict } = await fitPredictor(stack, gemm);
    errors.push({ ...heldOut, name: parts.length > 1 ? `${name} [${part}]` : name });
    for (const [i, { before }] of fresh.entries()) made[i]!.push(await predict(before));
  }
  const tensors = fresh.map(({ before }, i): TensorToWrite => {
    const linear = model.linears[before]!.find((one) => weightName(one).endsWith(`.${name}`))!;
    const whole = new Float32Array(linear.rows * linear.columns);
    let top = 0;
    for (const part of made[i]!) {
      whole.set(part, top);
      top += part.length;
    }
    const { dtype, shape } = model.checkpoint.tensors.get(weightName(linear))!;
    const bytes = storable(toStored(linear, whole), dtype, () => {
      const message = `${name} between blocks ${before} and ${before + 1}: the prediction is not finite in ${dtype}. Use --method average.`;
      throw new NumericError('E_NUMERIC_OVERFLOW', message, { linear: name, block: before, dtype });
    });
    return { name, dtype, shape, read: async () => bytes };
  });
  return { errors, tensors };
}

/** What becomes of a tensor of the source: itself, under the numbers of the blocks that are or are made of its block. */
export function growTensors(
  { model, method, grown }: Growing,
  predictions: Predictions | undefined,
): (tensor: TensorInfo) => readonly TensorToWrite[] {
  const { checkpoint, tensorNames, config } = model;
  const at = grown.map((block, number) => ({ ...block, number }));
  const silent = method.name === 'llama-pro' ? writing(model) : new Set<string>();
  return (tensor) => {
    const place = placeOf(tensor.name, tensorNames.blocks);
    const kept = keepTensor(checkpoint, tensor);
    if (!place || place.block >= config.blocks) return [kept];
    return at
      .filter(({ source }) => source === place.block)
      .map(({ number, of }): TensorToWrite => {
        const name = tensorAt({ block: number, rest: place.rest }, tensorNames.blocks);
        if (!of) return { ...kept, name };
        if (silent.has(tensor.name)) return { ...kept, name, read: async () => new Uint8Array(tensor.length) };
        const predicted = predictions?.find(number, place.rest);
        if (predicted) return { ...predicted, name };
        return { ...kept, name, read: () => meanOf(model, tensor, of) };
      });
  };
}

/** The tensors that write into the residual: the last linears of attention and of the MLP, or of each expert. */
const writing = (model: Model): ReadonlySet<string> =>
  new Set(
    model.linears
      .flat()
      .flatMap((linear) => (linear.feeds === 'residual' ? [weightName(linear), biasName(linear)] : [])),
  );

/** The mean of a tensor over blocks; the bytes themselves for one block, and for what is no number that has a mean. */
async function meanOf(model: Model, tensor: TensorInfo, blocks: readonly number[]): Promise<Uint8Array> {
  const { checkpoint, tensorNames } = model;
  const { rest } = placeOf(tensor.name, tensorNames.blocks)!;
  const names = blocks.map((block) => tensorAt({ block, rest }, tensorNames.blocks));
  const known = new Set(
    blocks.flatMap((block) => blockTensors(model.config, tensorNames, block).map(({ name }) => name)),
  );
  // Buffers and tensors that we do not know are the block's own.
  if (blocks.length === 1 || !known.has(tensor.name)) return await readTensor(checkpoint, tensor.name);
  const values = await Promise.all(names.map((name) => readTensorFloat32(checkpoint, name)));
  const [first, ...others] = values;
  const mean = first!.map((value, i) => others.reduce((sum, other) => sum + other[i]!, value) / values.length);
  return fromFloat32(mean, tensor.dtype);
}
