// The dense twin of a packed model: the same numbers with their zeros stored, to measure the gain from leaving them
// out. int8 and int4 keep their integers and scales, so the twin gives the same results. It is made in memory.

import { InternalError } from '../base/index.js';
import { decodeLinear, decodeQuantised, type EncodedLinear, encodeDense, encodeDenseFloat } from '../layouts/index.js';
import { type Directory, paddedBytes, partOffsets, type TensorEntry } from './directory.js';
import { type PackedModel, requireTarget } from './packed.js';

/** Reads `packed` and returns its dense twin, whose weights can be read once. The hashes are those of the original. */
export async function makeDenseTwin(packed: PackedModel): Promise<PackedModel> {
  const weights = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(weights);
  const parts = new Map<string, readonly Uint8Array[]>();
  let end = 0;
  const tensors = packed.directory.tensors.map((tensor): TensorEntry => {
    const encoded = {
      layout: tensor.layout,
      parts: tensor.layout.parts.map(({ bytes }, i) => {
        const at = partOffsets(tensor)[i]!;
        return weights.subarray(at, at + bytes);
      }),
    };
    const twin: EncodedLinear = tensor.role === 'linear' ? densely(encoded) : encoded;
    parts.set(tensor.name, twin.parts);
    const entry = {
      ...tensor,
      layout: twin.layout,
      offset: end,
      bytes: paddedBytes(twin.layout),
      reason: 'the dense twin',
    };
    end += entry.bytes;
    return entry;
  });
  const directory: Directory = { ...packed.directory, tensors, weights: { ...packed.directory.weights, bytes: end } };
  return {
    path: packed.path,
    directory,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    weightBytes: end,
    readText: packed.readText,
    readWeightsInto: async (target) => {
      requireTarget(packed.path, target, end);
      if (parts.size === 0)
        throw new InternalError('E_INTERNAL_PACKED', 'The weights of a dense twin have already been read.');
      for (const tensor of tensors) {
        for (const [i, offset] of partOffsets(tensor).entries()) target.set(parts.get(tensor.name)![i]!, offset);
      }
      parts.clear();
    },
    close: async () => parts.clear(),
  };
}

function densely(encoded: EncodedLinear): EncodedLinear {
  const { rows, columns, values } = encoded.layout;
  return values === 'f32'
    ? encodeDenseFloat({ rows, columns, data: decodeLinear(encoded) })
    : encodeDense(decodeQuantised(encoded));
}
