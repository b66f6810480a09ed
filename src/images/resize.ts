// Resampling equal to Pillow's to the last bit (Image.resize of 8-bit images, Resample.c, Pillow ≤ 12): filters widen when an
// image shrinks, coefficients are fixed-point numbers of 22 bits, and the horizontal pass is rounded to 8 bits before the
// vertical one. Pillow 13 takes the vertical pass first for some tall images; published results do not, nor does this file.

import { InternalError } from '../base/index.js';
import type { Image } from './pixels.js';

const FILTERS = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const;
export type Filter = (typeof FILTERS)[number];

/** For records. */
export const RESAMPLER = 'pillow<13';

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

type Kernel = { readonly support: number; weigh(x: number): number };

const KERNELS: Readonly<Record<Exclude<Filter, 'nearest'>, Kernel>> = {
  box: { support: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weigh: (x) => {
      const t = Math.abs(x) * Math.PI;
      if (t === 0) return 1;
      return Math.abs(x) >= 1 ? 0 : (Math.sin(t) / t) * (0.54 + 0.46 * Math.cos(t));
    },
  },
  bicubic: {
    support: 2,
    weigh: (value) => {
      const [a, x] = [-0.5, Math.abs(value)];
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
  lanczos: { support: 3, weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

const BITS = 22; // 32 of the sum, 8 of a pixel, 2 for filters that overshoot
const HALF = 1 << (BITS - 1);

/** For each output position: where its inputs begin, how many they are, and their weights, `taps` places apart. */
type Coefficients = {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly taps: number;
};

export function coefficientsOf(from: number, to: number, filter: Exclude<Filter, 'nearest'>): Coefficients {
  const kernel = KERNELS[filter];
  const scale = from / to;
  const widen = Math.max(scale, 1);
  const support = kernel.support * widen;
  const taps = Math.ceil(support) * 2 + 1;
  const [first, count, weights] = [new Int32Array(to), new Int32Array(to), new Int32Array(to * taps)];
  const real = new Float64Array(taps);
  for (let out = 0; out < to; out++) {
    const centre = (out + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const n = Math.min(from, Math.trunc(centre + support + 0.5)) - low;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      real[i] = kernel.weigh((i + low - centre + 0.5) * (1 / widen));
      sum += real[i]!;
    }
    for (let i = 0; i < n; i++) {
      const weight = (sum === 0 ? real[i]! : real[i]! / sum) * (1 << BITS);
      weights[out * taps + i] = Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    }
    first[out] = low;
    count[out] = n;
  }
  return { first, count, weights, taps };
}

const clip = (sum: number): number => {
  const value = sum >> BITS;
  return value < 0 ? 0 : Math.min(255, value);
};

function resampleRows(image: Image, width: number, filter: Exclude<Filter, 'nearest'>): Image {
  const { first, count, weights, taps } = coefficientsOf(image.width, width, filter);
  const { pixels: source, height } = image;
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = y * image.width * 3;
    for (let x = 0; x < width; x++, to += 3) {
      let [r, g, b] = [HALF, HALF, HALF];
      let from = row + first[x]! * 3;
      const end = x * taps + count[x]!;
      for (let k = x * taps; k < end; k++, from += 3) {
        const weight = weights[k]!;
        r += source[from]! * weight;
        g += source[from + 1]! * weight;
        b += source[from + 2]! * weight;
      }
      pixels[to] = clip(r);
      pixels[to + 1] = clip(g);
      pixels[to + 2] = clip(b);
    }
  }
  return { width, height, pixels };
}

function resampleColumns(image: Image, height: number, filter: Exclude<Filter, 'nearest'>): Image {
  const { first, count, weights, taps } = coefficientsOf(image.height, height, filter);
  const { pixels: source, width } = image;
  const stride = width * 3;
  const pixels = new Uint8Array(stride * height);
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * taps + k]!;
      const row = (first[y]! + k) * stride;
      for (let i = 0; i < stride; i++) sums[i]! += source[row + i]! * weight;
    }
    for (let i = 0; i < stride; i++) pixels[y * stride + i] = clip(sums[i]!);
  }
  return { width, height, pixels };
}

/** Where each output position reads: Pillow adds up the step, so its rounding is repeated here. */
function nearestOf(from: number, to: number): Int32Array {
  const step = from / to;
  const places = new Int32Array(to);
  for (let out = 0, at = step * 0.5; out < to; out++, at += step) places[out] = Math.min(from - 1, Math.trunc(at));
  return places;
}

function pickNearest(image: Image, width: number, height: number): Image {
  const [columns, rows] = [nearestOf(image.width, width), nearestOf(image.height, height)];
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const from = (rows[y]! * image.width + columns[x]!) * 3;
      pixels[to] = image.pixels[from]!;
      pixels[to + 1] = image.pixels[from + 1]!;
      pixels[to + 2] = image.pixels[from + 2]!;
    }
  }
  return { width, height, pixels };
}

export type ResizeOptions = { readonly width: number; readonly height: number; readonly filter: Filter };

/** The image in another size, its proportions not kept. */
export function resize(image: Image, { width, height, filter }: ResizeOptions): Image {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new InternalError('E_INTERNAL_RESIZE', `Expected a size in whole pixels, got ${width}×${height}.`);
  }
  if (width === image.width && height === image.height) return image;
  if (filter === 'nearest') return pickNearest(image, width, height);
  const wide = width === image.width ? image : resampleRows(image, width, filter);
  return height === wide.height ? wide : resampleColumns(wide, height, filter);
}
