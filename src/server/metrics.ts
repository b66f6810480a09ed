// Metrics for Prometheus: counters, gauges and histograms in its text format, version 0.0.4.

const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];

type Labels = Readonly<Record<string, string | number>>;

export interface Counter {
  add(amount: number, labels?: Labels): void;
}

export interface Histogram {
  observe(seconds: number): void;
}

export interface Registry {
  counter(name: string, help: string): Counter;
  /** `read` is called each time the page is read. */
  gauge(name: string, help: string, read: () => number): void;
  /** A histogram of seconds. */
  histogram(name: string, help: string): Histogram;
  /** The page as text. */
  render(): string;
}

export function createRegistry(): Registry {
  const pages: (() => string)[] = [];
  const add = (name: string, help: string, kind: string, lines: () => readonly string[]): void => {
    pages.push(() => [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...lines()].join('\n'));
  };
  return {
    counter(name, help) {
      const sums = new Map<string, number>();
      add(name, help, 'counter', () => [...sums].map(([labels, sum]) => `${name}${labels} ${sum}`));
      return {
        add(amount, labels = {}) {
          const key = format(labels);
          sums.set(key, (sums.get(key) ?? 0) + amount);
        },
      };
    },
    gauge: (name, help, read) => add(name, help, 'gauge', () => [`${name} ${read()}`]),
    histogram(name, help) {
      const counts = new Array<number>(SECONDS.length).fill(0);
      let [sum, count] = [0, 0];
      add(name, help, 'histogram', () => [
        ...SECONDS.map((bound, i) => `${name}_bucket{le="${bound}"} ${counts[i]}`),
        `${name}_bucket{le="+Inf"} ${count}`,
        `${name}_sum ${sum}`,
        `${name}_count ${count}`,
      ]);
      return {
        observe(seconds) {
          for (const [i, bound] of SECONDS.entries()) if (seconds <= bound) counts[i]!++;
          sum += seconds;
          count++;
        },
      };
    },
    render: () => `${pages.map((page) => page()).join('\n')}\n`,
  };
}

function format(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(String(value))}`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** The metrics of this server. */
export type Metrics = {
  readonly registry: Registry;
  readonly requests: Counter;
  readonly calls: Counter;
  readonly promptTokens: Counter;
  readonly generatedTokens: Counter;
  readonly seconds: Histogram;
  readonly firstTokenSeconds: Histogram;
};

type State = { readonly running: number; readonly waiting: number };

export function createMetrics(state: () => State): Metrics {
  const registry = createRegistry();
  registry.gauge('layerwise_running_sequences', 'Sequences being read or written.', () => state().running);
  registry.gauge('layerwise_queue_depth', 'Sequences that wait.', () => state().waiting);
  registry.gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  registry.gauge('nodejs_heap_size_used_bytes', 'Objects of the main thread.', () => process.memoryUsage().heapUsed);
  registry.gauge('nodejs_external_memory_bytes', 'Buffers of the main thread.', () => process.memoryUsage().external);
  const counter = (name: string, help: string): Counter => registry.counter(`layerwise_${name}_total`, help);
  const histogram = (name: string, help: string): Histogram => registry.histogram(`layerwise_${name}_seconds`, help);
  return {
    registry,
    requests: counter('requests', 'HTTP requests answered, by route and status.'),
    calls: counter('calls', 'Requests for text that were accepted, by how they ended.'),
    promptTokens: counter('prompt_tokens', 'Tokens of prompts read.'),
    generatedTokens: counter('generated_tokens', 'Tokens generated.'),
    seconds: histogram('request', 'From a request for text to its last byte.'),
    firstTokenSeconds: histogram('first_token', 'From a request for text to its first token.'),
  };
}
