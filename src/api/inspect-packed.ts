// Describes a .lw file and compares its bytes with the fewest that its values could take. The floor of a linear with b-bit
// integers is min(b · weights, (b + 4) · nonzeros, weights + b · nonzeros) bits (dense, or each nonzero with a 4-bit column
// number, as in N:16 tiles, or with a bit for every weight), and for f32 min(32 · weights, 48 · nonzeros). It has no scales,
// padding or order of tiles. Tables have a floor of b bits per weight, routers and vectors of 32.

import { type DescribedModel, readPackedModel } from '../decoder/index.js';
import { type Directory, openPacked, type TensorEntry } from '../packed/index.js';
import type { ManifestText } from '../records/index.js';

/** A part of the weights: bytes with all padding, bits a weight, and those of the floor. */
export type PartReport = {
  readonly part: string;
  readonly weights: number;
  readonly nonzeros: number;
  readonly bytes: number;
  readonly bits: number;
  readonly floor: number;
  /** bits / floor − 1; null where the floor is 0. */
  readonly above: number | null;
};

export type PackedLinearReport = {
  readonly name: string;
  /** null for projections of the embeddings, which are outside the blocks and never pruned. */
  readonly block: number | null;
  readonly rows: number;
  readonly columns: number;
  readonly values: string;
  /** `dense`, `rows`, `tiles 4:16`, `tiles 8:16 mask` or `tiles sorted`. */
  readonly layout: string;
  readonly nonzeros: number;
  /** Weights that are not zero in the checkpoint but became zero here, because they are too small for their scale. */
  readonly rounded: number;
  readonly bytes: number;
  readonly bits: number;
  readonly floor: number;
  readonly reason: string;
};

export type PackedReport = {
  readonly file: string;
  readonly fileBytes: number;
  readonly layerwise: string;
  readonly family: string;
  readonly blocks: number;
  readonly tied: boolean;
  readonly values: string;
  readonly head: string;
  /** The calibration text of the checkpoint that was packed; null where its record names none. */
  readonly calibration: ManifestText | null;
  readonly texts: readonly { readonly name: string; readonly bytes: number }[];
  /** linears, embeddings, positions, head, routers, norms and biases, if present. */
  readonly parts: readonly PartReport[];
  readonly all: PartReport;
  /** Bytes of all linears by purpose: values and columns, scales, order of tiles, padding. */
  readonly linearBytes: Readonly<Record<string, number>>;
  /** Zeros over all weights of the linears. */
  readonly sparsity: number;
  readonly linears: readonly PackedLinearReport[];
  /** Whether the checksums of the weights were compared. */
  readonly verified: boolean;
};

/**
 * Opens a .lw file and describes it. With `verify` every byte is read and every checksum compared.
 * @throws CheckpointError E_CHECKPOINT_…, UnsupportedError, ResourceError
 */
export async function inspectPacked(path: string, verify = false): Promise<PackedReport> {
  const packed = await openPacked(path);
  try {
    const model = await readPackedModel(packed);
    if (verify) await packed.verify();
    return { ...describePacked(path, packed.fileBytes, packed.directory, model), verified: verify };
  } finally {
    await packed.close();
  }
}

/** Describes a model from its directory, whose tensors were checked. */
export function describePacked(
  file: string,
  fileBytes: number,
  { tensors, files, layerwise, values, head, calibration }: Directory,
  { config, tensors: described }: Pick<DescribedModel, 'config' | 'tensors'>,
): PackedReport {
  const blockOf = new Map(described.map(({ name, block }) => [name, block ?? null]));
  const linears = tensors.filter(({ role }) => role === 'linear');
  const parts = (['linear', 'embedding', 'positions', 'head', 'router', 'vector'] as const).flatMap((role) => {
    const own = tensors.filter((tensor) => tensor.role === role);
    return own.length > 0 ? [partReport(PART_NAMES[role], own)] : [];
  });
  const { weights, nonzeros } = parts[0]!;
  return {
    file,
    fileBytes,
    layerwise,
    family: config.family,
    blocks: config.blocks,
    tied: config.tied,
    values,
    head,
    calibration: calibration ?? null,
    texts: files.map(({ name, bytes }) => ({ name, bytes })),
    parts,
    all: partReport('all weights', tensors),
    linearBytes: sumByPurpose(linears),
    sparsity: 1 - nonzeros / weights,
    linears: linears.map((tensor) => linearReport(tensor, blockOf.get(tensor.name) ?? null)),
    verified: false,
  };
}

const PART_NAMES = {
  linear: 'linears',
  embedding: 'embeddings',
  positions: 'positions',
  head: 'head',
  router: 'routers',
  vector: 'norms and biases',
} as const;

const weightsOf = ({ layout }: TensorEntry): number => layout.rows * layout.columns;

const BITS = { f32: 32, int8: 8, int4: 4, int3: 3, int2: 2 } as const;

/** The fewest bits of any layout of these values. */
function floorBits({ role, nonzeros, layout }: TensorEntry): number {
  const { values, rows, columns } = layout;
  const bits = BITS[values];
  const weights = rows * columns;
  if (role !== 'linear') return bits * weights;
  if (values === 'f32') return Math.min(32 * weights, 48 * nonzeros);
  return Math.min(bits * weights, (bits + 4) * nonzeros, weights + bits * nonzeros);
}

function partReport(part: string, tensors: readonly TensorEntry[]): PartReport {
  const sum = (of: (tensor: TensorEntry) => number): number => tensors.reduce((total, one) => total + of(one), 0);
  const [weights, bytes] = [sum(weightsOf), sum((tensor) => tensor.bytes)];
  const [bits, floor] = [(8 * bytes) / weights, sum(floorBits) / weights];
  return {
    part,
    weights,
    nonzeros: sum((tensor) => tensor.nonzeros),
    bytes,
    bits,
    floor,
    above: floor === 0 ? null : bits / floor - 1,
  };
}

function linearReport(tensor: TensorEntry, block: number | null): PackedLinearReport {
  const { name, layout, nonzeros, rounded, bytes, reason } = tensor;
  const { rows, columns, values } = layout;
  const weights = rows * columns;
  return {
    name,
    block,
    rows,
    columns,
    values,
    layout: nameLayout(tensor),
    nonzeros,
    rounded,
    bytes,
    bits: (8 * bytes) / weights,
    floor: floorBits(tensor) / weights,
    reason,
  };
}

function nameLayout({ layout }: TensorEntry): string {
  if (layout.layout !== 'tiles') return layout.layout;
  if (layout.form === 'sorted') return 'tiles sorted';
  return `tiles ${layout.slots}:16${layout.index === 'mask' ? ' mask' : ''}`;
}

/** The purposes of the parts of linears, by name. Other parts are values and columns. */
const PURPOSES: Readonly<Record<string, string>> = {
  scales: 'scales',
  starts: 'order',
  counts: 'order',
  order: 'order',
  offsets: 'order',
};

function sumByPurpose(linears: readonly TensorEntry[]): Record<string, number> {
  const sums: Record<string, number> = { 'values and columns': 0, scales: 0, order: 0, padding: 0 };
  for (const { layout, bytes } of linears) {
    let own = 0;
    for (const part of layout.parts) {
      sums[PURPOSES[part.name] ?? 'values and columns']! += part.bytes;
      own += part.bytes;
    }
    sums.padding! += bytes - own;
  }
  return sums;
}
