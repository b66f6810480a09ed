// Sessions of graphs some of whose tensors change between runs, such as trained weights: these are fed with each run, the
// others stay where the checkpoint has them. Sessions are kept and used again, or there is one at a time.

import { withResources } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { feedInitializers, type Graph } from '../graph/index.js';

/** Values in float32 by tensor name, in the checkpoint's order of storage. */
export type Weights = ReadonlyMap<string, Float32Array>;

type Run = (inputs: Readonly<Record<string, HostTensor>>) => Promise<Record<string, HostTensor>>;

export type Sessions = {
  /**
   * Calls `use` with a session of the graph that `make` gives, in which those tensors of `weights` are fed that it has. A
   * graph is made again for another `key`, and for other names in `weights`.
   */
  use<T>(key: string, weights: Weights, make: () => Graph, use: (run: Run) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

type Held = { readonly session: Session; readonly fed: readonly (readonly [name: string, shape: readonly number[]])[] };

/** With `hold`, sessions are kept until `close`. */
export function createSessions(engine: Engine, hold: boolean): Sessions {
  const held = new Map<string, Held>();
  const open = async (weights: Weights, make: () => Graph): Promise<Held> => {
    const graph = make();
    const fed = graph.initializers.filter(({ name }) => weights.has(name));
    const names = fed.map(({ name }) => name);
    const session = await engine.load(feedInitializers(graph, names));
    return { session, fed: fed.map(({ name, shape }) => [name, shape]) };
  };
  return {
    use: async (key, weights, make, use) => {
      const id = JSON.stringify([key, [...weights.keys()].sort()]);
      const found = held.get(id) ?? (await open(weights, make));
      if (hold) held.set(id, found);
      const { session, fed } = found;
      return await withResources(async (own) => {
        if (!hold) await own(session);
        const values = Object.fromEntries(
          fed.map(([name, shape]) => [name, { type: 'f32', shape, data: weights.get(name)! } as const]),
        );
        return await use((inputs) => session.run({ ...inputs, ...values }));
      });
    },
    close: async () => {
      const all = [...held.values()];
      held.clear();
      await withResources(async (own) => {
        for (const { session } of all) await own(session);
      });
    },
  };
}
