// Counts what a run has open, and lets one of its steps fail: an engine and a maker of activations that keep a ledger. A step
// is a call of the engine, a move of the residual stream in or out of its scratch file, or an event of progress.

import type { Engine, HostTensor, Session } from '../../src/engine/index.js';
import type { Activations } from '../../src/stream/activations.js';

type Create = (chunks: readonly number[], length: number, width: number, memoryBudget?: number) => Promise<Activations>;

/** How many are open, and what was done that must not be: closed twice, closed while in use. */
export const ledger = { engines: 0, sessions: 0, runs: 0, activations: 0, wrong: [] as string[] };

/** What fails: the step of that number (from 1), or it and everything that the engine is asked afterwards. */
export type Fault = { readonly step: number; readonly mode: 'once' | 'from then on' };

let fault: Fault | undefined;
let steps: string[] = [];
let thrown: Error | undefined;

/** Starts counting anew. */
export function expectFault(next: Fault | undefined): void {
  fault = next;
  steps = [];
  thrown = undefined;
  Object.assign(ledger, { engines: 0, sessions: 0, runs: 0, activations: 0, wrong: [] });
}

/** The steps so far, and what the fault has thrown. */
export const seen = (): { readonly steps: readonly string[]; readonly thrown: Error | undefined } => ({
  steps,
  thrown,
});

/** Counts a step, which may be the one to fail. */
export function step(name: string, byEngine = false): void {
  steps.push(name);
  if (steps.length === fault?.step) {
    thrown = new Error(`step ${steps.length}, ${name}, was made to fail`);
    throw thrown;
  }
  if (byEngine && thrown && fault?.mode === 'from then on') throw new Error(`${name}: the engine is gone`);
}

/** Lets all that is under way come to the same point. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An engine of a run's own over one that stays. */
export function watchEngine(engine: Engine): Engine {
  ledger.engines++;
  return {
    ...engine,
    load: async (graph) => {
      await turn();
      step(`load ${graph.name}`, true);
      const session = await engine.load(graph);
      ledger.sessions++;
      return watchSession(session, graph.name);
    },
    close: async () => {
      ledger.engines--;
      step('close the engine', true);
    },
  };
}

function watchSession(session: Session, name: string): Session {
  let [runs, released] = [0, false];
  const counted = async <T>(what: string, inputs: Inputs, work: () => Promise<T>): Promise<T> => {
    if (released) ledger.wrong.push(`${name}: run after it was released`);
    runs++;
    ledger.runs++;
    try {
      await turn();
      try {
        step(`${what} ${name}`, true);
      } catch (error) {
        if (what === 'lend') lose(inputs);
        throw error;
      }
      return await work();
    } finally {
      runs--;
      ledger.runs--;
    }
  };
  return {
    run: (inputs, transfer) => counted('run', inputs, () => session.run(inputs, transfer)),
    lend: (inputs) => counted('lend', inputs, () => session.lend(inputs)),
    release: async () => {
      if (released) ledger.wrong.push(`${name}: released twice`);
      if (runs > 0) ledger.wrong.push(`${name}: released with ${runs} runs under way`);
      released = true;
      await session.release();
      ledger.sessions--;
      step(`release ${name}`, true);
    },
  };
}

type Inputs = Readonly<Record<string, HostTensor>>;

/** As a worker that fails does it: buffers that were lent do not come back. */
function lose(inputs: Inputs): void {
  const buffers = Object.values(inputs).map(({ data }) => data.buffer as ArrayBuffer);
  structuredClone(buffers, { transfer: [...new Set(buffers)] });
}

/** Few windows are several chunks, so that workers have something to do side by side. */
export const chunksOfTwo = (windows: number): readonly number[] =>
  Array.from({ length: Math.ceil(windows / 2) }, (_, i) => Math.min(2, windows - 2 * i));

/** Activations that lie in a scratch file however small they are. */
export function watchActivations(create: Create): Create {
  return async (chunks, length, width) => {
    step('open activations');
    const store = await create(chunks, length, width, 0);
    ledger.activations++;
    let closed = false;
    return {
      ...store,
      read: async (chunk) => {
        step('read activations');
        return await store.read(chunk);
      },
      write: async (chunk, data) => {
        step('write activations');
        await store.write(chunk, data);
      },
      close: async () => {
        if (closed) return void ledger.wrong.push('activations closed twice');
        closed = true;
        await store.close();
        ledger.activations--;
        step('close activations');
      },
    };
  };
}
