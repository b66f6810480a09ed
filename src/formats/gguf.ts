// A model as one GGUF file for llama.cpp, Ollama and LM Studio. Linears get the type that was asked for. A row that is not a
// whole number of that type's blocks gets Q8_0, or F16 where 32 does not divide it either. Embeddings and head are Q6_K beside
// types of fewer bits; norms and biases are F32. A linear that is quantised already keeps its integers and scales in Q4_0 (up
// to 4 bits) and Q8_0; with `OwnTypes` each such linear gets the smallest type that holds them. One tensor is held at a time, and tables are read in slabs.

import { type OnProgress, VERSION } from '../base/index.js';
import {
  type Grid,
  type LinearGrid,
  readTensorFloat32,
  readTensorRange,
  type ScalesFile,
} from '../checkpoint/index.js';
import {
  BLOCK_TYPES,
  blockBytes,
  dequantise,
  encodeGrid,
  type GgufTensorToWrite,
  ggufBytes,
  holdsGrid,
  keepsZeros,
  quantise,
  type WrittenType,
  writeGguf,
} from '../gguf/index.js';
import type { Model } from '../model/index.js';
import { bytesPerElement, toFloat32 } from '../tensor/index.js';
import { describeGguf, interleaveHalves, type NamedTensor } from './gguf-model.js';
import { describeTokenizer, type Pairs } from './gguf-tokenizer.js';
import { countZeros, type ZeroCounts } from './zeros.js';

/** The types of `--type`, and llama.cpp's number for a file that is mostly that. */
const FILE_TYPES = { f16: 1, bf16: 32, q8_0: 7, q4_0: 2, q6_k: 18, q4_k: 14, q3_k: 11, q2_k: 10 } as const;
export type GgufType = keyof typeof FILE_TYPES;
export const GGUF_TYPES = Object.keys(FILE_TYPES) as readonly GgufType[];

const NAMES = {
  f16: 'F16',
  bf16: 'BF16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
  q6_k: 'Q6_K',
  q4_k: 'Q4_K',
  q3_k: 'Q3_K',
  q2_k: 'Q2_K',
} as const;
/** Beside these the embeddings and the head are Q6_K, as llama.cpp has them. */
const FEW_BITS: readonly GgufType[] = ['q4_0', 'q4_k', 'q3_k', 'q2_k'];
const SLAB_BYTES = 32 << 20;

/** Every quantised linear in the smallest type that holds its own integers and scales; tables as they are packed. */
export type OwnTypes = { readonly head: keyof typeof HEAD_TYPES };
const HEAD_TYPES = { int8: 'Q8_0', int4: 'Q4_0', f32: 'F32' } as const satisfies Record<string, WrittenType>;

type PlannedTensor = NamedTensor & {
  readonly type: WrittenType;
  readonly shape: readonly number[];
  /** The grid that is kept exactly. */
  readonly grid: LinearGrid | undefined;
};

export type GgufPlan = {
  readonly pairs: Pairs;
  readonly tensors: readonly PlannedTensor[];
  readonly ropeFactors: Float32Array | undefined;
  readonly notes: readonly string[];
  readonly scales: ScalesFile | undefined;
  /** The bytes of all tensors. */
  readonly bytes: number;
  /** The bytes of the file but for its blocks' linears. */
  readonly restBytes: number;
};

/** Says what each tensor becomes. @throws UnsupportedError E_UNSUPPORTED_EXPORT; CheckpointError E_TEXT_TOKENIZER */
export async function planGguf(
  model: Model,
  name: string,
  scales: ScalesFile | undefined,
  asked: GgufType | OwnTypes,
): Promise<GgufPlan> {
  const described = describeGguf(model, name);
  const { dir, config } = model.checkpoint;
  const tokenizer = await describeTokenizer(dir, model.config.vocabulary, {
    bos: firstId(config.bos_token_id),
    eos: firstId(config.eos_token_id),
  });
  const tensors = described.tensors.map((tensor): PlannedTensor => {
    const { shape } = model.checkpoint.tensors.get(tensor.source)!;
    const grid = tensor.kind === 'linear' ? scales?.grids.get(tensor.source) : undefined;
    const type = typeOf(tensor, shape.at(-1)!, asked, grid);
    return { ...tensor, type, shape, grid: grid && holdsGrid(type, grid) ? grid : undefined };
  });
  const pairs: Pairs = [
    ...described.pairs,
    ['general.file_type', { kind: 'u32', value: FILE_TYPES[typeof asked === 'string' ? asked : mostOf(tensors)] }],
    ['general.quantization_version', { kind: 'u32', value: 2 }],
    ['layerwise.version', { kind: 'text', value: VERSION }],
    ...tokenizer.pairs,
  ];
  const linearBytes = tensors
    .filter(({ kind }) => kind === 'linear')
    .reduce((sum, tensor) => sum + blockBytes(tensor), 0);
  return {
    pairs,
    scales,
    tensors,
    ropeFactors: described.ropeFactors,
    notes: [...described.notes, ...tokenizer.notes, ...notesOn(tensors, scales, asked)],
    bytes: tensors.reduce((sum, tensor) => sum + blockBytes(tensor), 0),
    // Of another type a linear may need padding of up to 32 bytes.
    restBytes:
      ggufBytes(pairs, tensors) - linearBytes + 32 * (tensors.length + 4) + 4 * (described.ropeFactors?.length ?? 0),
  };
}

/** What a file of several types is called after. */
const mostOf = (tensors: readonly PlannedTensor[]): GgufType => {
  const linears = tensors.filter(({ kind }) => kind === 'linear');
  return 2 * linears.filter(({ type }) => type === 'Q4_0').length >= linears.length ? 'q4_0' : 'q8_0';
};

const firstId = (value: unknown): number | undefined => {
  const id = Array.isArray(value) ? value[0] : value;
  return Number.isSafeInteger(id) && id >= 0 ? (id as number) : undefined;
};

function typeOf(
  { kind }: NamedTensor,
  columns: number,
  asked: GgufType | OwnTypes,
  grid: LinearGrid | undefined,
): WrittenType {
  if (kind === 'vector') return 'F32';
  const wanted =
    typeof asked === 'object'
      ? kind === 'table'
        ? HEAD_TYPES[asked.head]
        : ((['Q4_0', 'Q8_0'] as const).find((type) => grid && holdsGrid(type, grid)) ?? 'F16')
      : kind === 'table' && FEW_BITS.includes(asked)
        ? 'Q6_K'
        : NAMES[asked];
  const fits = (type: WrittenType): boolean => columns % BLOCK_TYPES[type].weights === 0;
  return fits(wanted) ? wanted : fits('Q8_0') ? 'Q8_0' : 'F16';
}

function notesOn(
  tensors: readonly PlannedTensor[],
  scales: ScalesFile | undefined,
  asked: GgufType | OwnTypes,
): readonly string[] {
  const notes: string[] = [];
  const linears = tensors.filter(({ kind }) => kind === 'linear');
  const halves = linears.filter(({ grid }) => grid?.bits === 8);
  if (halves.length > 0) notes.push(`The float32 scales of ${halves.length} 8-bit linears are rounded to halves.`);
  if (typeof asked === 'object') return notes;
  const other = linears.filter(({ type }) => type !== NAMES[asked]);
  if (other.length > 0) {
    const { source, shape, type } = other[0]!;
    notes.push(
      `${other.length} of ${linears.length} linears are ${[...new Set(other.map((one) => one.type))].join(' or ')}, because their rows are no multiple of ${BLOCK_TYPES[NAMES[asked]].weights} (${source}: ${shape.at(-1)}, ${type}).`,
    );
  }
  const lossy = linears.filter(({ type }) => !keepsZeros(type));
  if (lossy.length > 0) {
    notes.push(
      `${NAMES[asked]} has no exact zero: a pruned weight comes out up to half a step beside it. Q4_0, Q3_K and Q6_K keep zeros.`,
    );
  }
  const rounded = linears.filter(({ source, grid }) => scales?.grids.has(source) && !grid);
  if (rounded.length > 0) {
    notes.push(
      `${rounded.length} linears are quantised already, and are rounded a second time to ${NAMES[asked]}. q8_0 keeps their integers and scales, q4_0 those of up to 4 bits, in groups that 32 divides.`,
    );
  }
  return notes;
}

export type GgufWritten = { readonly fileBytes: number; readonly zeros: ZeroCounts };

/** Writes the file. @throws NumericError E_NUMERIC_WEIGHT; CheckpointError E_CHECKPOINT_SCALES; ResourceError E_RESOURCE_… */
export async function writeModel(
  path: string,
  model: Model,
  plan: GgufPlan,
  onProgress: OnProgress,
): Promise<GgufWritten> {
  const zeros = { before: 0, after: 0, kept: 0 };
  onProgress({ kind: 'stage', stage: 'writing', total: model.config.blocks });
  const tensors = plan.tensors.map((tensor, i): GgufTensorToWrite => {
    const endsBlock =
      blockOf(tensor.name) !== undefined && blockOf(plan.tensors[i + 1]?.name ?? '') !== blockOf(tensor.name);
    return {
      name: tensor.name,
      type: tensor.type,
      shape: tensor.shape,
      async *read() {
        yield* tensor.kind === 'table' ? readTable(model, tensor) : readWhole(model, plan.scales, tensor, zeros);
        if (endsBlock) onProgress({ kind: 'advance' });
      },
    };
  });
  const { ropeFactors } = plan;
  if (ropeFactors) {
    tensors.push({
      name: 'rope_freqs.weight',
      type: 'F32',
      shape: [ropeFactors.length],
      async *read() {
        yield quantise('rope_freqs', ropeFactors, 'F32');
      },
    });
  }
  const fileBytes = await writeGguf(path, plan.pairs, tensors);
  return { fileBytes, zeros };
}

const blockOf = (name: string): string | undefined => /^blk\.(\d+)\./.exec(name)?.[1];

async function* readTable({ checkpoint }: Model, { source, shape, type }: PlannedTensor): AsyncGenerator<Uint8Array> {
  const { dtype, length } = checkpoint.tensors.get(source)!;
  const rowBytes = shape.at(-1)! * bytesPerElement(dtype);
  const slab = Math.max(1, Math.floor(SLAB_BYTES / rowBytes)) * rowBytes;
  for (let at = 0; at < length; at += slab) {
    const bytes = await readTensorRange(checkpoint, source, at, Math.min(slab, length - at));
    yield quantise(source, toFloat32(bytes, dtype), type);
  }
}

async function* readWhole(
  { checkpoint }: Model,
  scales: ScalesFile | undefined,
  tensor: PlannedTensor,
  zeros: { before: number; after: number; kept: number },
): AsyncGenerator<Uint8Array> {
  const { source, kind, shape, type, heads, plus, grid: info } = tensor;
  const W = await readTensorFloat32(checkpoint, source);
  if (plus !== 0) for (let i = 0; i < W.length; i++) W[i]! += plus;
  const width = kind === 'vector' ? 1 : shape.at(-1)!;
  const ordered = heads === undefined ? W : interleaveHalves(W, width, heads);
  const { dtype } = checkpoint.tensors.get(source)!;
  const grid = info && scales && orderGrid(await scales.read(source, W, dtype), width, heads);
  const bytes = grid ? encodeGrid(grid, width, type) : quantise(source, ordered, type);
  if (kind === 'linear') {
    const back = dequantise(bytes, BLOCK_TYPES[type]);
    countZeros(zeros, ordered, (i) => back[i] === 0);
  }
  yield bytes;
}

/** The grid of a matrix whose rows are reordered. */
function orderGrid(grid: Grid, width: number, heads: number | undefined): Grid {
  if (heads === undefined) return grid;
  const groups = Math.ceil(width / grid.group);
  return {
    ...grid,
    q: interleaveHalves(grid.q, width, heads),
    scales: interleaveHalves(grid.scales, groups, heads),
  };
}
