// A packed model of one block as one of many equal blocks: each has bytes of its own, so that decoding reads them all, but
// they are packed once.

import { type PackedModel, readPackedConfig } from '#src/packed';

const FIRST = 'model.layers.0.';

export async function repeatBlocks(packed: PackedModel, blocks: number): Promise<PackedModel> {
  const config = { ...(await readPackedConfig(packed)), num_hidden_layers: blocks };
  const weights = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(weights);
  /** Where each tensor's bytes lie in `weights`. */
  const sources: number[] = [];
  let end = 0;
  const { tensors: own } = packed.directory;
  const take = (tensor: (typeof own)[number], name: string) => {
    sources.push(tensor.offset);
    const entry = { ...tensor, name, offset: end };
    end += tensor.bytes;
    return entry;
  };
  const inBlock = own.filter(({ name }) => name.startsWith(FIRST));
  const tensors = own.flatMap((tensor) => {
    if (tensor === inBlock[0]) {
      return Array.from({ length: blocks }, (_, block) =>
        inBlock.map((one) => take(one, one.name.replace(FIRST, `model.layers.${block}.`))),
      ).flat();
    }
    return tensor.name.startsWith(FIRST) ? [] : [take(tensor, tensor.name)];
  });
  const directory = { ...packed.directory, tensors, weights: { ...packed.directory.weights, bytes: end } };
  return {
    ...packed,
    directory,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    weightBytes: end,
    readText: async (name) => (name === 'config.json' ? JSON.stringify(config) : packed.readText(name)),
    readWeightsInto: async (target) => {
      for (const [i, { offset, bytes }] of tensors.entries()) {
        target.set(weights.subarray(sources[i]!, sources[i]! + bytes), offset);
      }
    },
  };
}
