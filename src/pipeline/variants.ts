// Scores many models that differ from a base in one linear each, in one sweep through the blocks. At every block, the streams
// of earlier variants pass through the base's block, and each variant of this block starts a new stream from the base's own.
// So the blocks before a variant run once for all variants, only the later blocks run for each, and one block's graph is
// loaded at a time.

import { type OnProgress, withResources } from '../base/index.js';
import type { TensorToWrite } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { scoreDivergences } from '../evaluate/index.js';
import { type BlockSource, type Model, weightName } from '../model/index.js';
import { type Activations, createActivations, type Move, passBlock, sameShape, type Text } from '../stream/index.js';

/** A model that differs from the base in the weights of one linear, which may have another dtype there. */
export type Variant = {
  readonly linear: string;
  readonly weights: Pick<TensorToWrite, 'dtype' | 'shape'> & { readonly bytes: Uint8Array };
};

export type SweepInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly text: Text;
  /** The base's blocks. */
  readonly base: (block: number) => Promise<BlockSource>;
  /** The variants of a block's linears. */
  readonly variants: (block: number) => Promise<readonly Variant[]>;
  /** The dense model's residual after the last block, on `text`. Defaults to the base's. */
  readonly reference?: Activations;
  readonly onProgress: OnProgress;
};

export type SweepResult = {
  /** Mean KL(dense ‖ base) of each window, nats per token. */
  readonly base: readonly number[];
  /** The same for each variant, by its linear's name. */
  readonly variants: ReadonlyMap<string, readonly number[]>;
};

/** All streams together take up to this many bytes of memory; the rest is in scratch files. */
const STREAM_MEMORY = 1 << 30;

/** Scores every variant against the reference. */
export async function sweepVariants(input: SweepInput): Promise<SweepResult> {
  const { engine, model, text, onProgress } = input;
  const { blocks } = model.config;
  const { length } = text.windows;
  const budget = STREAM_MEMORY / (1 + model.linears.flat().length);
  const open = (): Promise<Activations> => createActivations(text.embedded.chunks, length, model.config.hidden, budget);
  return await withResources(async (own) => {
    const streams = new Map<string, Activations>();
    const prefix = await own(sameShape(text.embedded));
    for (let block = 0; block < blocks; block++) {
      const from = block === 0 ? text.embedded : prefix;
      const source = await input.base(block);
      for (const variant of await input.variants(block)) {
        const stream = await own(open());
        streams.set(variant.linear, stream);
        await passBlock(engine, model, block, [[from, stream]], withVariant(source, variant));
      }
      const here = new Set(model.linears[block]!.map(({ name }) => name));
      const earlier = [...streams].filter(([linear]) => !here.has(linear)).map(([, stream]): Move => [stream, stream]);
      await passBlock(engine, model, block, [...earlier, [from, prefix]], source);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
    const names = [...streams.keys()];
    const [base, ...scores] = await scoreDivergences(
      engine,
      model,
      [prefix, ...streams.values()],
      input.reference ?? prefix,
    );
    return { base: base!, variants: new Map(names.map((name, i) => [name, scores[i]!])) };
  });
}

function withVariant(base: BlockSource, { linear, weights }: Variant): BlockSource {
  const replaced = weightName({ name: linear });
  const { dtype, shape, bytes } = weights;
  return {
    folder: base.folder,
    find: (name) => (name === replaced ? { name, dtype, shape, source: { kind: 'bytes', bytes } } : base.find(name)),
  };
}
