// The types of tensors in a GGUF file: how many weights a block holds and how many bytes it takes. Numbers and sizes are
// ggml's (ggml.h, ggml-common.h). Only the types that `dequantise` reads are in the table; the names of the others are
// there so that a refusal can name them.

/** A type that we read. */
export type BlockType = {
  readonly name: BlockTypeName;
  /** The number in the file. */
  readonly id: number;
  /** Weights of a block; a row is a whole number of blocks. */
  readonly weights: number;
  /** Bytes of a block. */
  readonly bytes: number;
};

const TABLE = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  IQ4_NL: [20, 32, 18],
  BF16: [30, 1, 2],
} as const;

export type BlockTypeName = keyof typeof TABLE;

/** The types that we read, by name. */
export const BLOCK_TYPES = Object.fromEntries(
  Object.entries(TABLE).map(([name, [id, weights, bytes]]) => [name, { name, id, weights, bytes }]),
) as Readonly<Record<BlockTypeName, BlockType>>;

const BY_ID: ReadonlyMap<number, BlockType> = new Map(Object.values(BLOCK_TYPES).map((type) => [type.id, type]));

/** The type with this number; undefined where we do not read it. */
export const blockTypeOf = (id: number): BlockType | undefined => BY_ID.get(id);

const OTHERS: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
};

/** How a message calls a type that we do not read. */
export const describeType = (id: number): string => OTHERS[id] ?? `type ${id}`;
