// compressed-tensors, the format `pack-quantized`, which transformers, vLLM and SGLang load: for each quantised linear m the
// integers (`m.weight_packed`), their scales (`m.weight_scale`) and the shape (`m.weight_shape`) in place of `m.weight`, and
// in config.json which modules have which bits. A value v is stored as v + 2^(b−1); element i of a row is the bits
// [i·b, (i+1)·b) of a little-endian stream of 32-bit words, and a row ends with its last word. W = q·scale, whatever the sign
// of the scale. All else stays as it was: norms, biases, the embeddings and the head.

import { join } from 'node:path';
import { type OnProgress, readDocument, UnsupportedError } from '../base/index.js';
import {
  type Grid,
  keepTensor,
  type LinearGrid,
  type ScalesFile,
  type TensorInfo,
  type TensorToWrite,
  writeReplaced,
} from '../checkpoint/index.js';
import { nearestTo, roundToGrid } from '../gguf/index.js';
import { findFamily, type Linear, type Model, readLinear, weightName } from '../model/index.js';
import { type DType, fromFloat32 } from '../tensor/index.js';
import { countZeros, type ZeroCounts } from './zeros.js';

/** What a linear becomes. `grid` is the one it has already; without one it is rounded. */
export type PackedModule = {
  readonly linear: Linear;
  /** The module's name in transformers. */
  readonly target: string;
  readonly bits: number;
  readonly group: number;
  readonly scaleType: DType;
  readonly grid: LinearGrid | undefined;
};

export type CompressedPlan = {
  readonly scales: ScalesFile | undefined;
  readonly modules: ReadonlyMap<string, PackedModule>;
  /** Modules that stay as they are. */
  readonly ignore: readonly string[];
  readonly notes: readonly string[];
};

/** What vLLM's kernels take; it has slower ones for the other bits since 2026. */
const COMMON_BITS: ReadonlySet<number> = new Set([4, 8]);

/**
 * Says what becomes of each linear: its own grid, or `round`'s bits and group.
 * @throws UnsupportedError E_UNSUPPORTED_EXPORT for what the format cannot hold
 */
export function planCompressed(
  model: Model,
  scales: ScalesFile | undefined,
  round: { readonly bits: number; readonly group: number } | undefined,
): CompressedPlan {
  const family = findFamily(model.checkpoint.config);
  if (model.config.transposed) {
    throw unfit(family.modelType, 'linears that are [out, in] matrices (nn.Linear)', 'transposed ones (Conv1D)');
  }
  // transformers 5 joins the experts of a block when it loads them; 4-bit ones then gave logits 0.2 % beside q·scale.
  if (family.mixture) throw unfit(family.modelType, 'dense MLPs', 'a mixture of experts', 'export it as hf');
  const rename = canonicalName(model);
  const modules = new Map<string, PackedModule>();
  for (const linear of model.linears.flat()) {
    const name = weightName(linear);
    const grid = scales?.grids.get(name);
    const chosen = grid ?? round;
    if (!chosen) continue;
    const { bits } = chosen;
    const group = Math.min(chosen.group, linear.columns);
    if (linear.columns % group !== 0) {
      const next = grid ? 'quantise it in groups that divide it' : 'choose another --group, such as 32';
      throw unfit(name, `a number of columns that ${group} divides`, `${linear.columns}`, next);
    }
    const own = model.checkpoint.tensors.get(name)!.dtype;
    const scaleType = grid ? grid.dtype : own === 'BF16' ? 'BF16' : 'F16';
    modules.set(name, { linear, target: rename(linear.name), bits, group, scaleType, grid });
  }
  const ignore = ['lm_head', ...denseModules(model, modules, rename)];
  return { scales, modules, ignore: [...new Set(ignore)], notes: notesOn(model, modules) };
}

/** The name that transformers gives a module, whatever base the file's names have. */
function canonicalName(model: Model): (name: string) => string {
  const { names } = findFamily(model.checkpoint.config);
  const base = model.tensorNames.blocks.slice(0, -`${names.blocks}.`.length);
  return (name) => (name.startsWith(base) ? names.bases[0]! + name.slice(base.length) : name);
}

/** Every matrix that is not quantised, tables among them: naming one too many does no harm. */
function denseModules(
  model: Model,
  modules: ReadonlyMap<string, PackedModule>,
  rename: (name: string) => string,
): readonly string[] {
  const { embedding, positions } = model.tensorNames;
  return [...model.checkpoint.tensors.values()]
    .filter(({ name, shape }) => shape.length === 2 && name.endsWith('.weight') && !modules.has(name))
    .filter(({ name }) => name !== embedding && name !== positions)
    .map(({ name }) => rename(name.slice(0, -'.weight'.length)));
}

/** What loads into one matrix in vLLM and SGLang. */
const FUSED: readonly (readonly string[])[] = [
  ['q', 'k', 'v'],
  ['gate', 'up'],
];

function notesOn(model: Model, modules: ReadonlyMap<string, PackedModule>): readonly string[] {
  const notes: string[] = [];
  const describe = (linear: Linear): string => {
    const packed = modules.get(weightName(linear));
    return packed ? `${packed.bits} bits in groups of ${packed.group}` : 'dense';
  };
  const differing = model.linears.flatMap((block) =>
    FUSED.flatMap((kinds) => {
      const fused = block.filter(({ kind }) => kinds.includes(kind));
      return new Set(fused.map(describe)).size > 1 ? [fused] : [];
    }),
  );
  const first = differing[0];
  if (first) {
    const what = first.map((linear) => `${linear.name}: ${describe(linear)}`).join('; ');
    notes.push(
      `vLLM and SGLang join q, k, v and gate, up into one matrix and refuse ${differing.length} of them here, whose parts differ (${what}). transformers loads them.`,
    );
  }
  const odd = [...new Set([...modules.values()].map(({ bits }) => bits))].filter((bits) => !COMMON_BITS.has(bits));
  if (odd.length > 0) {
    notes.push(
      `${odd.join(' and ')} bits: transformers loads them, vLLM by slower kernels and only since 2026, SGLang not.`,
    );
  }
  const rounded = [...modules.values()].filter(({ linear, scaleType }) => {
    const own = model.checkpoint.tensors.get(weightName(linear))!.dtype;
    return own !== 'F32' && own !== scaleType;
  });
  if (rounded.length > 0) {
    const { linear, scaleType } = rounded[0]!;
    const own = model.checkpoint.tensors.get(weightName(linear))!.dtype;
    notes.push(
      `Scales are ${scaleType} and the checkpoint is ${own}: a loader that computes in ${own} rounds the scales of ${rounded.length} linears to it. Load in float32 for the exact numbers.`,
    );
  }
  return notes;
}

/** Writes the checkpoint into the empty directory `outDir`, and counts zeros. One linear is held at a time. */
export async function writeCompressed(
  model: Model,
  plan: CompressedPlan,
  outDir: string,
  onProgress: OnProgress,
): Promise<ZeroCounts> {
  const counts = { before: 0, after: 0, kept: 0 };
  onProgress({ kind: 'stage', stage: 'packing', total: plan.modules.size });
  const become = (tensor: TensorInfo): readonly TensorToWrite[] => {
    const packed = plan.modules.get(tensor.name);
    if (!packed) return [keepTensor(model.checkpoint, tensor)];
    return packTensors(packed, async () => {
      const { grid, W } = await gridOf(model, plan.scales, packed);
      countZeros(counts, W, (i) => grid.q[i] === 0);
      onProgress({ kind: 'advance' });
      return grid;
    });
  };
  const config = await readDocument(join(model.checkpoint.dir, 'config.json'));
  await writeReplaced(model.checkpoint, outDir, become, { 'config.json': addToConfig(config, formatConfig(plan)) });
  return counts;
}

/** Text after text: parsing and printing would turn 4.0 into 4, which transformers refuses where it wants a float. */
function addToConfig(config: string, quantisation: object): string {
  const open = config.trimEnd().slice(0, -1).trimEnd();
  const added = JSON.stringify(quantisation, null, 2).replaceAll('\n', '\n  ');
  return `${open},\n  "quantization_config": ${added}\n}\n`;
}

async function gridOf(
  model: Model,
  scales: ScalesFile | undefined,
  { linear, bits, group, scaleType, grid }: PackedModule,
): Promise<{ readonly grid: Grid; readonly W: Float32Array }> {
  const W = await readLinear(model.checkpoint, linear);
  if (grid && scales) {
    return { W, grid: await scales.read(grid.name, W, model.checkpoint.tensors.get(grid.name)!.dtype) };
  }
  const nearest = nearestTo(scaleType);
  return { W, grid: roundToGrid(linear.name, W, linear.columns, { bits, group, nearest }) };
}

/** The three tensors of a module; its grid is made when the first of them is read, and kept until the second is. */
function packTensors(module: PackedModule, make: () => Promise<Grid>): readonly TensorToWrite[] {
  const { linear, bits, group, scaleType } = module;
  const { name, rows, columns } = linear;
  let grid: Grid | undefined;
  return [
    {
      name: `${name}.weight_packed`,
      dtype: 'I32',
      shape: [rows, wordsOf(columns, bits)],
      read: async () => {
        grid = await make();
        return new Uint8Array(packBits(grid.q, columns, bits).buffer);
      },
    },
    {
      name: `${name}.weight_scale`,
      dtype: scaleType,
      shape: [rows, columns / group],
      read: async () => {
        const bytes = fromFloat32(grid!.scales, scaleType);
        grid = undefined;
        return bytes;
      },
    },
    {
      name: `${name}.weight_shape`,
      dtype: 'I64',
      shape: [2],
      read: async () => new Uint8Array(BigInt64Array.of(BigInt(rows), BigInt(columns)).buffer),
    },
  ];
}

const wordsOf = (columns: number, bits: number): number => Math.ceil((columns * bits) / 32);

/** q [rows, columns] → words [rows, ceil(columns · bits / 32)]. */
export function packBits(q: Int8Array, columns: number, bits: number): Uint32Array<ArrayBuffer> {
  const words = wordsOf(columns, bits);
  const packed = new Uint32Array((q.length / columns) * words);
  const offset = 2 ** (bits - 1);
  for (let row = 0; row * columns < q.length; row++) {
    for (let column = 0; column < columns; column++) {
      const value = q[row * columns + column]! + offset;
      const bit = column * bits;
      const [at, shift] = [row * words + (bit >>> 5), bit & 31];
      packed[at]! |= value << shift;
      if (shift + bits > 32) packed[at + 1]! |= value >>> (32 - shift);
    }
  }
  return packed;
}

/** `quantization_config`: a group for each number of bits and width of groups, with the full names of its modules. */
function formatConfig({ modules, ignore }: CompressedPlan): object {
  const groups = new Map<string, { readonly bits: number; readonly group: number | undefined; targets: string[] }>();
  for (const { linear, target, bits, group } of modules.values()) {
    const width = group === linear.columns ? undefined : group;
    const key = `${bits} ${width}`;
    const entry = groups.get(key) ?? { bits, group: width, targets: [] };
    entry.targets.push(target);
    groups.set(key, entry);
  }
  const described = [...groups.values()].map(({ bits, group, targets }, i) => [
    `group_${i}`,
    {
      format: 'pack-quantized',
      targets,
      weights: {
        num_bits: bits,
        type: 'int',
        symmetric: true,
        strategy: group === undefined ? 'channel' : 'group',
        group_size: group ?? null,
        dynamic: false,
        actorder: null,
        observer: 'minmax',
        observer_kwargs: {},
      },
      input_activations: null,
      output_activations: null,
    },
  ]);
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    ignore,
    kv_cache_scheme: null,
    config_groups: Object.fromEntries(described),
  };
}

function unfit(what: string, expected: string, got: string, next = 'export it as gguf or hf'): UnsupportedError {
  const message = `${what}: compressed-tensors holds ${expected}, got ${got}; ${next}.`;
  return new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { what, expected, got });
}
