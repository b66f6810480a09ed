// What is known of an image, y = A(x) with A linear: some of its pixels, means of squares of pixels, or random sums of all.

import { createRng, type Engine, GraphBuilder, int } from 'layerwise';
import { normals } from './random.js';

type Shape = readonly [channels: number, height: number, width: number];

export type Measurement = {
  readonly name: string;
  /** How many numbers of an image are known. */
  readonly count: number;
  /** Adds A to a graph: [batch, channels, height, width] → [batch, any]. */
  readonly apply: (g: GraphBuilder, x: string, batch: number) => string;
};

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b);

/** The pixels whose `mask` is 1, row by row; the mask is the same for all channels. */
export function inpainting(shape: Shape, mask: Float32Array): Measurement {
  const [channels, height, width] = shape;
  return {
    name: 'inpainting',
    count: channels * mask.reduce((sum, value) => sum + value, 0),
    apply: (g, x, batch) => {
      const known = g.op('Mul', [x, g.constant('mask', mask, [1, 1, height, width])]);
      return g.op('Reshape', [known, g.shape([batch, sizeOf(shape)])]);
    },
  };
}

/** A mask that leaves out a rectangle, [top, bottom) × [left, right). */
export function maskOf(
  [, height, width]: Shape,
  top: number,
  bottom: number,
  left: number,
  right: number,
): Float32Array {
  const isKnown = (y: number, x: number): boolean => y < top || y >= bottom || x < left || x >= right;
  return Float32Array.from({ length: height * width }, (_, i) => Number(isKnown(Math.floor(i / width), i % width)));
}

/** A mask that keeps each pixel with probability `share`. */
export function scatteredMask([, height, width]: Shape, share: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: height * width }, () => Number(rng.uniform() < share));
}

/** The means of squares of `factor` × `factor` pixels. */
export function superResolution(shape: Shape, factor: number): Measurement {
  const [channels, height, width] = shape;
  const [rows, columns] = [height / factor, width / factor];
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) {
    throw new RangeError(`Squares of ${factor} × ${factor} pixels do not fill an image of ${height} × ${width}.`);
  }
  const count = channels * rows * columns;
  return {
    name: `super-resolution ×${factor}`,
    count,
    apply: (g, x, batch) => {
      const squares = g.op('Reshape', [x, g.shape([batch * channels, rows, factor, columns, factor])]);
      const sums = g.op('ReduceSum', [squares, g.shape([2, 4])], { keepdims: int(0) });
      const share = g.constant('share', Float32Array.of(1 / factor ** 2), [1]);
      return g.op('Reshape', [g.op('Mul', [sums, share]), g.shape([batch, count])]);
    },
  };
}

/** `count` sums of all pixels with normal weights of variance 1/count. */
export function compressedSensing(shape: Shape, count: number, seed: number): Measurement {
  const pixels = sizeOf(shape);
  const A = normals(count * pixels, seed).map((value) => value / Math.sqrt(count));
  return {
    name: 'compressed sensing',
    count,
    apply: (g, x, batch) =>
      g.op('Gemm', [g.op('Reshape', [x, g.shape([batch, pixels])]), g.constant('A', A, [count, pixels])], {
        transB: int(1),
      }),
  };
}

/** y of images: what `invert` is given. */
export async function measure(
  engine: Engine,
  measurement: Measurement,
  shape: Shape,
  images: Float32Array,
): Promise<Float32Array> {
  const batch = images.length / sizeOf(shape);
  const g = new GraphBuilder();
  g.output(measurement.apply(g, g.input('x', 'f32', [batch, ...shape]), batch), 'y', [batch, 'm']);
  const session = await engine.load(g.build(measurement.name, undefined));
  const { y } = await session.run({ x: { type: 'f32', shape: [batch, ...shape], data: images } });
  await session.release();
  return y!.data as Float32Array;
}
