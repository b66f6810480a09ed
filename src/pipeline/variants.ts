// Scores many models that differ from a base in one block each, in one sweep through the blocks. At every block, the streams
// of earlier variants pass through the base's block, and each variant of this block starts a new stream from the base's own.
// So the blocks before a variant run once for all variants, only the later blocks run for each, and one block's graph is
// loaded at a time.

import { type OnProgress, withResources } from '../base/index.js';
import type { TensorToWrite } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { scoreDivergences } from '../evaluate/index.js';
import type { BlockSource, Model } from '../model/index.js';
import {
  type Activations,
  copyStream,
  createActivations,
  type Move,
  passBlock,
  type Samples,
  sameShape,
} from '../stream/index.js';

/** Values of a tensor, which may have another dtype than in the base. */
export type Replaced = Pick<TensorToWrite, 'dtype' | 'shape'> & { readonly bytes: Uint8Array };

/** A model that differs from the base in some tensors of one block. */
export type Variant = {
  readonly id: string;
  readonly tensors: ReadonlyMap<string, Replaced>;
  /** The model without the block: its residual goes past it. */
  readonly skips?: true;
};

export type SweepInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly text: Samples;
  /** The base's blocks. */
  readonly base: (block: number) => Promise<BlockSource>;
  /** The variants of a block. */
  readonly variants: (block: number) => Promise<readonly Variant[]>;
  /** The number of variants in all, which share the memory for streams. Defaults to one for each linear. */
  readonly count?: number;
  /** The dense model's residual after the last block, on `text`. Defaults to the base's. */
  readonly reference?: Activations;
  readonly onProgress: OnProgress;
};

export type SweepResult = {
  /** Mean KL(dense ‖ base) of each window, nats per token. */
  readonly base: readonly number[];
  /** The same for each variant, by its id. */
  readonly variants: ReadonlyMap<string, readonly number[]>;
};

/** All streams together take up to this many bytes of memory; the rest is in scratch files. */
const STREAM_MEMORY = 1 << 30;

/** Scores every variant against the reference. */
export async function sweepVariants(input: SweepInput): Promise<SweepResult> {
  const { engine, model, text, onProgress } = input;
  const { blocks } = model.config;
  const { length } = text.embedded;
  const budget = STREAM_MEMORY / (1 + (input.count ?? model.linears.flat().length));
  const open = (): Promise<Activations> => createActivations(text.embedded.chunks, length, model.config.hidden, budget);
  return await withResources(async (own) => {
    const streams = new Map<string, Activations>();
    const prefix = await own(sameShape(text.embedded));
    for (let block = 0; block < blocks; block++) {
      const from = block === 0 ? text.embedded : prefix;
      const source = await input.base(block);
      const earlier = [...streams.values()].map((stream): Move => [stream, stream]);
      for (const variant of await input.variants(block)) {
        const stream = await own(open());
        streams.set(variant.id, stream);
        if (variant.skips) await copyStream(from, stream);
        else await passBlock(engine, model, block, [[from, stream]], withVariant(source, variant));
      }
      await passBlock(engine, model, block, [...earlier, [from, prefix]], source);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    const names = [...streams.keys()];
    // With many variants and a large vocabulary the heads take as long as the blocks.
    onProgress({ kind: 'stage', stage: 'sensitivity, scores', total: names.length + 1, unit: 'model' });
    const [base, ...scores] = await scoreDivergences(
      engine,
      model,
      [prefix, ...streams.values()],
      input.reference ?? prefix,
      text.content,
      onProgress,
    );
    return { base: base!, variants: new Map(names.map((name, i) => [name, scores[i]!])) };
  });
}

function withVariant(base: BlockSource, { tensors }: Variant): BlockSource {
  return {
    folder: base.folder,
    find: (name) => {
      const replaced = tensors.get(name);
      if (!replaced) return base.find(name);
      const { dtype, shape, bytes } = replaced;
      return { name, dtype, shape, source: { kind: 'bytes', bytes } };
    },
  };
}
