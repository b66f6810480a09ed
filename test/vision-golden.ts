// The tiny vision and multimodal models of test/golden/vision, and what transformers makes of them. No weights are stored: they
// follow from a rule that scripts/golden/vision.py and this file have both, so a model is written where a test wants it.

import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '../src/checkpoint/index.js';
import { elementCount } from '../src/tensor/index.js';

const root = fileURLToPath(new URL('./golden/vision/', import.meta.url));

/** What a tower's residual is at one place: of the first sample the rows 0, 1 and the last, of each the first eight numbers. */
export type GoldenResidual = {
  /** [samples, rows, width], or [samples, height, width, channels]. */
  readonly shape: readonly number[];
  readonly rows: readonly (readonly number[])[];
  /** Over all samples, rows and numbers. */
  readonly meanSquare: number;
};

export type GoldenRun = {
  readonly input: {
    /** The shape of the pixels, which `goldenPixels` makes; of qwen2_vl, of rows of patches. */
    readonly pixels?: readonly number[];
    /** Of the bytes of the pixels. */
    readonly sha256?: string;
    readonly ids?: readonly (readonly number[])[];
    /** Patches in time, height and width, by image. */
    readonly grid?: readonly (readonly number[])[];
    /** How many tokens are seen from both sides. */
    readonly prefix?: number;
    /** Positions are interpolated where the family does so when it is asked to. */
    readonly interpolate?: true;
  };
  /** By tower (`vision`, `text`, `language`): what its first block reads, then what each block writes. */
  readonly residuals: Readonly<Record<string, readonly GoldenResidual[]>>;
  /** Of a language model: all logits of some rows of the first sample. */
  readonly logitRows?: Readonly<Record<string, readonly number[]>>;
  /** By name: `logits`, `text_embeds`, `image_embeds`, `logits_per_image`, `image_features` … */
  readonly outputs: Readonly<Record<string, readonly (readonly number[])[]>>;
};

export type VisionGolden = {
  readonly config: Readonly<Record<string, unknown>>;
  /** Name and shape of every tensor of the file, in the order in which they are filled. */
  readonly tensors: readonly (readonly [name: string, shape: readonly number[]])[];
  /** Of the bytes of all tensors in that order. */
  readonly sha256: string;
  readonly runs: readonly GoldenRun[];
  /** Other names that files of the family have: what a name begins with, and by what that is replaced. */
  readonly renames?: readonly Readonly<Record<string, string>>[];
};

/** Names of the models. */
export const visionCases: readonly string[] = readdirSync(root).map((file) => file.replace('.json', ''));

export const readVisionGolden = (name: string): VisionGolden =>
  JSON.parse(readFileSync(join(root, `${name}.json`), 'utf8')) as VisionGolden;

/** A stream of numbers in [−1, 1): s ← (1664525·s + 1013904223) mod 2³², u = s/2³²·2 − 1. */
export function lcg(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(1664525, s) + 1013904223) >>> 0;
    return (s / 2 ** 32) * 2 - 1;
  };
}

/** The pixels of a run, row-major. */
export function goldenPixels(shape: readonly number[]): Float32Array {
  const u = lcg(2);
  return Float32Array.from({ length: elementCount(shape) }, () => 1.5 * u());
}

const isScale = (name: string): boolean => /(\.weight|lambda1|layer_scale_parameter)$/.test(name);

function fill(u: () => number, name: string, shape: readonly number[]): Float32Array {
  const fanIn = Math.sqrt(elementCount(shape.slice(1)));
  const value = (): number => {
    if (shape.length === 0 || (shape.length === 1 && isScale(name))) return 1 + 0.1 * u();
    if (shape.length === 1) return 0.1 * u();
    return shape[0] === 1 ? 0.5 * u() : (u() * 1.5) / fanIn;
  };
  return Float32Array.from({ length: elementCount(shape) }, value);
}

/** The values of every tensor, in order. */
export function goldenTensors({ tensors }: VisionGolden): ReadonlyMap<string, Float32Array> {
  const u = lcg(1);
  return new Map(tensors.map(([name, shape]) => [name, fill(u, name, shape)]));
}

export type WriteGoldenOptions = {
  /** One of `renames`. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Changes a tensor before it is written; false leaves it out. The name is that of `tensors`. */
  readonly change?: (name: string, values: Float32Array) => boolean | undefined;
  /** Keys of config.json that are otherwise. */
  readonly config?: Readonly<Record<string, unknown>>;
};

/** Writes config.json and model.safetensors, in float32, into `dir`, which is made, and returns `dir`. */
export async function writeGoldenModel(
  golden: VisionGolden,
  dir: string,
  { rename = {}, change, config }: WriteGoldenOptions = {},
): Promise<string> {
  const values = goldenTensors(golden);
  const renamed = (name: string): string => {
    const old = Object.keys(rename).find((beginning) => name.startsWith(beginning));
    return old === undefined ? name : rename[old]! + name.slice(old.length);
  };
  const tensors = golden.tensors.flatMap(([name, shape]) => {
    const data = values.get(name)!;
    if (change?.(name, data) === false) return [];
    const read = async () => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return [{ name: renamed(name), dtype: 'F32' as const, shape, read }];
  });
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...golden.config, ...config }, null, 2));
  await writeSafetensors(join(dir, 'model.safetensors'), tensors, { format: 'pt' });
  return dir;
}
