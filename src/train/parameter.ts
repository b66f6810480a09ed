// What is trained of a tensor. A parameter makes the tensor that graphs read from its variables, and turns the gradient of the
// tensor into those of the variables. A zero of the tensor stays the zero it is, bit for bit: its gradient is masked, so
// AdamW never moves it. Values are in the file's order.

import type { Rng } from '../base/index.js';

/** An array that the optimiser changes. */
export type Variable = {
  readonly name: string;
  readonly values: Float32Array;
  /** Whether it decays: matrices do, norms, biases and scales do not. */
  readonly decays: boolean;
  /** Times the learning rate. */
  readonly speed: number;
};

export interface Parameter {
  /** The tensor's name in the checkpoint. */
  readonly tensor: string;
  readonly variables: readonly Variable[];
  /** The tensor. Must not be changed. */
  values(): Float32Array;
  /** The gradient of each variable, from the tensor's. May change `gradient`. */
  gradients(gradient: Float32Array): readonly Float32Array[];
}

/** A tensor whose values are trained; with `zeros: 'stay'`, all but the zeros. */
export function keptParameter(
  tensor: string,
  start: Float32Array,
  { zeros, decays }: { readonly zeros: 'stay' | 'move'; readonly decays: boolean },
): Parameter {
  const gone = zeros === 'stay' ? zerosOf(start) : undefined;
  const values = start.slice();
  return {
    tensor,
    variables: [{ name: tensor, values, decays, speed: 1 }],
    values: () => values,
    gradients: (gradient) => {
      if (gone) for (let i = 0; i < gone.length; i++) gradient[gone[i]!] = 0;
      return [gradient];
    },
  };
}

/** Where the zeros are. */
function zerosOf(values: Float32Array): Uint32Array {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) count++;
  const places = new Uint32Array(count);
  let at = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) places[at++] = i;
  return places;
}

export type LoraSettings = {
  /** W is [out, in]; if `transposed`, the file has in first. */
  readonly out: number;
  readonly in: number;
  readonly transposed: boolean;
  readonly rank: number;
  /** s of W + s·BA. */
  readonly scale: number;
  /** Whether BA is zero where W is, so that it can be merged (SQFT, PERP); else it stays an adapter beside W. */
  readonly masked: boolean;
  readonly rng: Rng;
};

/** LoRA's matrices learn faster than weights would: B starts at 0, and its product with A is small. */
const LORA_SPEED = 5;

/**
 * W + s·(M ⊙ BA): A [r, in] starts uniform in ±1/√in, B [out, r] at 0, as in PEFT; M is 1 where W is not 0.
 */
export function loraParameter(tensor: string, start: Float32Array, settings: LoraSettings): Parameter {
  const { out, in: width, transposed, rank, scale, masked, rng } = settings;
  const bound = 1 / Math.sqrt(width);
  const A = Float32Array.from({ length: rank * width }, () => (2 * rng.uniform() - 1) * bound);
  const B = new Float32Array(out * rank);
  const place = transposed
    ? (row: number, column: number): number => column * out + row
    : (row: number, column: number): number => row * width + column;
  return {
    tensor,
    variables: [
      { name: `${tensor}.A`, values: A, decays: true, speed: LORA_SPEED },
      { name: `${tensor}.B`, values: B, decays: true, speed: LORA_SPEED },
    ],
    values: () => {
      const values = start.slice();
      const sums = new Float64Array(width);
      for (let row = 0; row < out; row++) {
        sums.fill(0);
        for (let k = 0; k < rank; k++) {
          const b = B[row * rank + k]! * scale;
          if (b === 0) continue;
          for (let j = 0, a = k * width; j < width; j++, a++) sums[j]! += b * A[a]!;
        }
        for (let j = 0; j < width; j++) {
          const at = place(row, j);
          if (!masked || start[at] !== 0) values[at] = start[at]! + sums[j]!;
        }
      }
      return values;
    },
    gradients: (gradient) => {
      const [dA, dB] = [new Float64Array(A.length), new Float32Array(B.length)];
      const line = new Float64Array(width);
      for (let row = 0; row < out; row++) {
        for (let j = 0; j < width; j++) {
          const at = place(row, j);
          line[j] = masked && start[at] === 0 ? 0 : gradient[at]! * scale;
        }
        for (let k = 0; k < rank; k++) {
          const b = B[row * rank + k]!;
          let sum = 0;
          for (let j = 0, a = k * width; j < width; j++, a++) {
            sum += line[j]! * A[a]!;
            dA[a]! += b * line[j]!;
          }
          dB[row * rank + k] = sum;
        }
      }
      return [Float32Array.from(dA), dB];
    },
  };
}
