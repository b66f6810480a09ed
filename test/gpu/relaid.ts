// A packed model's weights in another layout, for a backend: every linear decoded, thinned out, and encoded again.

import type { Weights } from '../../src/decoder/backend.js';
import { decodeQuantised, type EncodedLinear, type QuantisedMatrix } from '../../src/layouts/index.js';
import { type PackedModel, partOffsets, type TensorEntry } from '../../src/packed/index.js';

const align = (n: number): number => Math.ceil(n / 64) * 64;

/** `encode` gets each linear of integers after `keeps` has said which of its columns stay in which row. */
export async function relay(
  packed: PackedModel,
  keeps: (row: number, column: number) => boolean,
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
      const { columns } = matrix;
      const q = matrix.q.map((value, i) => (keeps(Math.floor(i / columns), i % columns) ? value : 0));
      encoded = encode({ ...matrix, q });
    }
    const size = encoded.parts.reduce((sum, part) => sum + align(part.length), 0);
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
