// Images as residuals. An image comes as 8-bit pixels, a quarter of the memory of float32; they are normalised when their patches are
// taken. The stem is a graph of the engine, so the product with the patches runs where all others do.

import { handOver, withResources } from '../base/index.js';
import { readTensorFloat32 } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import {
  gridOf,
  interpolatePositions,
  type Model,
  type Normalisation,
  patchRows,
  patchRowsOfBytes,
  residualShape,
  stemGraph,
  tokensOf,
} from '../model/index.js';
import { type Activations, chunksOf, createActivations, startsOf } from './activations.js';
import { inParallel } from './stream.js';

/** Images of one size, and what their numbers mean. */
export type Images = Normalisation & {
  /** Rows of the residual before block 0 for each image. */
  readonly length: number;
  readonly height: number;
  readonly width: number;
  /** In 8 bits, [height, width, 3] each; or what the model takes, [3, height, width] each. */
  readonly pixels: readonly (Uint8Array | Float32Array)[];
  /** What each image is called. */
  readonly names?: readonly string[] | undefined;
  /** The number of each image's class; absent where nothing says it. */
  readonly labels?: Int32Array | undefined;
};

/** The residual before block 0 of each image. The model must be for images of their size (`resizeModel`). */
export async function embedImages(engine: Engine, model: Model, images: Images): Promise<Activations> {
  const { pixels } = images;
  const { length, width } = residualShape(model.config, -1, 0);
  const chunks = chunksOf(pixels.length, length);
  const { patch, spec } = model.config.image!;
  const rest = spec.staged || spec.partial ? 'drop' : 'refuse';
  const across = 3 * patch * patch;
  const positions = await positionsOf(model);
  return await handOver(await createActivations(chunks, length, width), async (activations) => {
    await withResources(async (own) => {
      const session = await own(engine.load(stemGraph(model, positions)));
      const firsts = startsOf(chunks);
      await inParallel(engine.concurrency, chunks.length, async (chunk) => {
        const some = pixels.slice(firsts[chunk]!, firsts[chunk]! + chunks[chunk]!);
        const parts = some.map((image) =>
          image instanceof Float32Array
            ? patchRows(image, images, patch, { rest })
            : patchRowsOfBytes(image, images, patch, images, { rest }),
        );
        const size = parts[0]!.length;
        const data = new Float32Array(parts.length * size);
        for (const [i, rows] of parts.entries()) data.set(rows, i * size);
        const patches = { type: 'f32', shape: [data.length / across, across], data } as const;
        const { y } = await session.run({ patches }, true);
        await activations.write(chunk, y!.data as Float32Array);
      });
    });
    return activations;
  });
}

/** The rows of the table of positions for the size of the model's images: those of patches are interpolated where it has another. */
async function positionsOf({ checkpoint, config, tensorNames }: Model): Promise<Float32Array | undefined> {
  const { positions } = tensorNames.image!;
  if (positions === undefined) return undefined;
  const image = config.image!;
  const table = await readTensorFloat32(checkpoint, positions);
  const { rows, columns } = gridOf(image, 0);
  const fixed = tokensOf(image) * config.hidden;
  const moved = interpolatePositions(table.subarray(fixed), config.hidden, [rows, columns]);
  const all = new Float32Array(fixed + moved.length);
  all.set(table.subarray(0, fixed));
  all.set(moved, fixed);
  return all;
}
