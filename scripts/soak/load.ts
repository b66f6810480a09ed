// The load itself: clients that act at random for a while, memory and counts read from /metrics, and what is wrong with
// all that. Seeded, though what meets what depends on time.

import { createRng } from '#src/base';
import { ACTS, type Outcome, type Target } from './acts.js';

export type LoadOptions = Target & {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  /** Told as often as memory is read. */
  readonly onSample?: (sample: Sample) => void;
};

/** Seconds since the start, resident bytes of the server. */
export type Sample = { readonly seconds: number; readonly bytes: number };

export type LoadReport = {
  readonly acts: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly generatedTokens: number;
  /** Median resident bytes of the second quarter of the time, and of the last. */
  readonly memory: { readonly before: number; readonly after: number; readonly growth: number };
  /** Whatever must not have happened; empty where all is well. */
  readonly problems: readonly string[];
};

/** How much more memory may be resident at the end. */
const MAX_GROWTH = 0.05;
/**
 * Milliseconds between two readings. The soak's server collects garbage once a second, and memory is a saw of up to 15 %
 * between; readings as slow as the saw would meet one height of it in one quarter and another in the next.
 */
const READ_EVERY = 100;
/** Longest time that an act may take, and that the server may need to become idle. */
const PATIENCE = 60_000;

export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { url, seconds, clients, seed } = options;
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  const outcomes: Record<Outcome, number> = { answered: 0, refused: 0, full: 0, cancelled: 0, read: 0 };
  const problems: string[] = [];
  const samples: Sample[] = [];
  let acts = 0;

  const client = async (index: number): Promise<void> => {
    const rng = createRng(seed + index);
    const names = Object.keys(ACTS);
    while (elapsed() < seconds && problems.length < 20) {
      const name = names[rng.below(names.length)]!;
      acts++;
      try {
        outcomes[await inTime(ACTS[name]!(options, rng))]++;
      } catch (error) {
        problems.push(`${elapsed().toFixed(1)} s, ${name}: ${describe(error)}`);
      }
      await sleep(rng.below(30));
    }
  };
  const watch = async (): Promise<void> => {
    while (elapsed() < seconds) {
      const metrics = await readMetrics(url);
      const sample = { seconds: elapsed(), bytes: metrics.get('process_resident_memory_bytes') ?? 0 };
      samples.push(sample);
      options.onSample?.(sample);
      await sleep(READ_EVERY);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: clients }, (_, index) => client(index))]);

  const metrics = await becomeIdle(url);
  const calls = (outcome: string): number => metrics.get(`layerwise_calls_total{outcome="${outcome}"}`) ?? 0;
  for (const outcome of ['failed', 'timeout', 'shutdown']) {
    if (calls(outcome) > 0) problems.push(`${calls(outcome)} accepted requests ended as ${outcome}`);
  }
  if (calls('answered') < outcomes.answered) {
    problems.push(`clients have ${outcomes.answered} answers, the server counts ${calls('answered')}`);
  }
  if (outcomes.answered === 0) problems.push('nothing was answered');
  const memory = compareMemory(samples, seconds);
  if (!(memory.growth <= MAX_GROWTH)) {
    problems.push(`resident memory grew by ${(100 * memory.growth).toFixed(1)} %, more than ${100 * MAX_GROWTH} %`);
  }
  const generatedTokens = metrics.get('layerwise_generated_tokens_total') ?? 0;
  return { acts, outcomes, generatedTokens, memory, problems };
}

/** The first quarter warms up. */
function compareMemory(samples: readonly Sample[], seconds: number): LoadReport['memory'] {
  const medianOf = (from: number, to: number): number => {
    const bytes = samples.filter((one) => one.seconds >= from * seconds && one.seconds < to * seconds);
    const sorted = bytes.map((one) => one.bytes).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  const [before, after] = [medianOf(0.25, 0.5), medianOf(0.75, 1)];
  return { before, after, growth: after / before - 1 };
}

/** The values of /metrics by name with labels. */
async function readMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

/** Waits until nothing runs and nothing waits: each accepted request has ended. */
async function becomeIdle(url: string): Promise<ReadonlyMap<string, number>> {
  const began = performance.now();
  for (;;) {
    const metrics = await readMetrics(url);
    const busy = ['layerwise_running_sequences', 'layerwise_queue_depth'].some((name) => metrics.get(name) !== 0);
    if (!busy) return metrics;
    if (performance.now() - began > PATIENCE) throw new Error('the server did not become idle');
    await sleep(100);
  }
}

function inTime<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE / 1000} s`)), PATIENCE);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function describe(error: unknown): string {
  const { message, cause } = error as Error;
  return cause === undefined ? message : `${message} (${(cause as Error).message})`;
}
