// A packed model's weights in another layout, for a backend: every linear decoded, thinned out, and encoded again.

import type { Weights } from '../../src/decoder/backend.js';
import { decodeQuantised, type EncodedLinear, type QuantisedMatrix } from '../../src/layouts/index.js';
import { paddedBytes } from '../../src/packed/directory.js';
import { type PackedModel, partOffsets, type TensorEntry } from '../../src/packed/index.js';

/** Of each row and each `group` of its columns the `kept` largest; of equal ones the first. */
export const largest =
  (kept: number, group: number) =>
  ({ rows, columns, q }: QuantisedMatrix): Int8Array => {
    const thin = new Int8Array(q.length);
    for (let first = 0; first < rows * columns; ) {
      const end = Math.min(first + group, (Math.floor(first / columns) + 1) * columns);
      const places = Array.from({ length: end - first }, (_, i) => first + i);
      places.sort((a, b) => Math.abs(q[b]!) - Math.abs(q[a]!) || a - b);
      for (const at of places.slice(0, Math.round((kept * places.length) / group))) thin[at] = q[at]!;
      first = end;
    }
    return thin;
  };

/** `encode` gets each linear of integers after `thin` has taken weights from it. */
export async function relay(
  packed: PackedModel,
  thin: (matrix: QuantisedMatrix) => Int8Array,
  encode: (matrix: QuantisedMatrix) => EncodedLinear,
): Promise<Weights> {
  const bytes = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(bytes);
  let end = 0;
  const made: { readonly entry: TensorEntry; readonly parts: readonly Uint8Array[] }[] = [];
  for (const entry of packed.tensors.values()) {
    const own = entry.layout.parts.map((part, i) => {
      const at = partOffsets(entry)[i]!;
      return bytes.slice(at, at + part.bytes);
    });
    let encoded: EncodedLinear = { layout: entry.layout, parts: own };
    if (entry.role === 'linear') {
      const matrix = decodeQuantised(encoded);
      encoded = encode({ ...matrix, q: thin(matrix) });
    }
    const size = paddedBytes(encoded.layout);
    made.push({ entry: { ...entry, layout: encoded.layout, offset: end, bytes: size }, parts: encoded.parts });
    end += size;
  }
  return {
    tensors: new Map(made.map(({ entry }) => [entry.name, entry])),
    weightBytes: end,
    readWeightsInto: async (target) => {
      for (const { entry, parts } of made) {
        for (const [i, offset] of partOffsets(entry).entries()) target.set(parts[i]!, offset);
      }
    },
  };
}
