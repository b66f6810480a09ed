// A record of a run that never was, for the report's tests.

import { blockId, type Evaluation, type Manifest } from '../../src/records/index.js';

const hash = (digit: string): string => digit.repeat(64);

export function evaluation(perplexity: number, windows = 6): Evaluation {
  const nll = Array.from({ length: windows }, (_, i) => Math.log(perplexity) + 0.01 * (i - (windows - 1) / 2));
  return { perplexity, windows, tokens: windows * 255, nll };
}

/** A searched run over `blocks` blocks, changed as `change` says. */
export function makeManifest(blocks: number, change: Partial<Manifest> = {}): Manifest {
  const rates = Array.from({ length: blocks }, (_, i) => 0.6 + (0.2 * i) / Math.max(1, blocks - 1));
  const errors = (scale: number) => rates.map((_, i) => scale * (0.4 + 0.3 * Math.sin(i / 3) ** 2));
  const trial = (beta: number, exact: boolean, perplexity: number) => ({
    beta,
    hyperparameters: { beta },
    rates,
    exact,
    validation: evaluation(perplexity),
    interval: [perplexity / 80 - 0.01, perplexity / 80 + 0.01] as [number, number],
    errors: exact ? errors(1) : [],
  });
  const text = {
    name: 'novels.txt',
    hash: hash('a'),
    tokens: 99_011,
    windows: 6,
    length: 256,
    order: 'all' as const,
    bos: null,
  };
  return {
    format: 'layerwise-run',
    version: 1,
    tool: { version: '0.1.0', node: 'v20', engine: 'onnxruntime-node 1.30.0', device: 'cpu' },
    command: 'layerwise prune ./model --sparsity 0.7 --out <dir>',
    source: {
      name: 'model',
      family: 'llama',
      blocks,
      dtype: 'F16',
      parameters: 2_000_000,
      prunable: 1_600_000,
      bytes: 4_000_000,
      hashes: { 'config.json': hash('b'), 'model.safetensors': hash('c') },
    },
    texts: { calibration: { ...text, order: 'random' }, validation: text, test: text },
    seed: 7,
    criterion: 'wanda',
    pattern: 'row',
    plan: {
      format: 'layerwise-plan',
      version: 2,
      units: Object.fromEntries(rates.map((rate, block) => [blockId(block), { zeros: { rate } }])),
      budget: { of: 'zeros', target: 0.7, counting: 'exact' },
      from: { policy: 'atp', values: { beta: 0.0060606 } },
    },
    sparsity: {
      target: 0.7,
      realised: 0.7,
      blocks: rates,
      linears: { 'model.layers.0.mlp.up_proj': { weights: 1_600_000, zeros: 1_120_000 } },
    },
    dense: { validation: evaluation(50), test: evaluation(52), errors: [] },
    uniform: { validation: evaluation(80), test: evaluation(82), errors: errors(1.1) },
    chosen: { validation: evaluation(74), test: evaluation(76), errors: errors(1) },
    trials: [trial(0, true, 80), trial(0.003, false, 78), trial(0.0060606, false, 75), trial(0.0060606, true, 74)],
    search: { method: 'A search, described in one sentence.', equivalents: 3.4, verdict: 'better' },
    ...change,
  };
}
