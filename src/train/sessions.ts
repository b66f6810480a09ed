// Sessions of block graphs whose tensors are inputs. Blocks that are alike share a session, and a session holds no weights, so
// all of them can stay loaded while one block's weights are resident.

import { createHash } from 'node:crypto';
import type { Own } from '../base/index.js';
import { readTensorFloat32 } from '../checkpoint/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { type Graph, serialiseOnnx } from '../graph/index.js';
import type { Half, Model } from '../model/index.js';
import { type Activations, chunkTensor, inParallel } from '../stream/index.js';
import type { Parameter } from './parameter.js';

export type Sessions = (graph: Graph) => Promise<Session>;

/** Loads each graph once; the scope that `own` belongs to releases them. */
export function openSessions(own: Own, engine: Engine): Sessions {
  const loaded = new Map<string, Promise<Session>>();
  return (graph) => {
    const key = createHash('sha256').update(serialiseOnnx(graph)).digest('hex');
    const known = loaded.get(key) ?? own(engine.load(graph));
    loaded.set(key, known);
    return known;
  };
}

/** A tensor of the checkpoint as an input of a graph, by its name. */
export type WeightsOf = (name: string) => Promise<HostTensor>;

/** The checkpoint's tensors, with those of `parameters` as they are now. */
export function weightsOf(model: Model, parameters: Iterable<Parameter> = []): WeightsOf {
  const trained = new Map([...parameters].map((parameter) => [parameter.tensor, parameter]));
  const { checkpoint } = model;
  return async (name) => ({
    type: 'f32',
    shape: checkpoint.tensors.get(name)!.shape,
    data: trained.get(name)?.values() ?? (await readTensorFloat32(checkpoint, name)),
  });
}

export type Inputs = Readonly<Record<string, HostTensor>>;

/** The tensors that a half reads, as inputs of its graph. */
export async function tensorsOf({ tensors }: Half, weights: WeightsOf): Promise<Inputs> {
  const inputs: Record<string, HostTensor> = {};
  for (const [role, name] of tensors) inputs[role] = await weights(name);
  return inputs;
}

/** Runs a half over a stream, `from` → `to`, which may be one store. */
export async function passHalf(
  engine: Engine,
  sessions: Sessions,
  half: Half,
  weights: WeightsOf,
  [from, to]: readonly [Activations, Activations],
): Promise<void> {
  const session = await sessions(half.graph);
  const tensors = await tensorsOf(half, weights);
  await inParallel(engine.concurrency, from.chunks.length, async (chunk) => {
    const x = chunkTensor(from, chunk, await from.read(chunk));
    const { y } = await session.run({ ...tensors, x });
    await to.write(chunk, y!.data as Float32Array);
  });
}

/** Runs halves one after another over a stream, `from` → `to`. */
export async function passHalves(
  engine: Engine,
  sessions: Sessions,
  halves: readonly Half[],
  weights: WeightsOf,
  [from, to]: readonly [Activations, Activations],
): Promise<void> {
  for (const [i, half] of halves.entries()) await passHalf(engine, sessions, half, weights, [i === 0 ? from : to, to]);
}
