import { join } from 'node:path';
import { type CompressForecast, type CompressResult, compress } from '../../api/index.js';
import { OptionError } from '../../base/index.js';
import type { CompressOptions } from '../../compress/index.js';
import type { ResultRow } from '../../records/index.js';
import { describeValues, formatBytes, formatPercent, formatPerplexity } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseQueue, parseShares, parseTasks } from '../option-values.js';
import {
  HAND_OUT_OPTIONS,
  type OptionName,
  RUN_OPTIONS,
  TASK_OPTIONS,
  type Values,
  WINDOW_OPTIONS,
} from '../options.js';
import { describeCuts, modelTable } from '../tasks.js';

const OPTION_NAMES = [
  'averageBits',
  'size',
  'tokensPerSecond',
  'zeros',
  'allow',
  'head',
  'calibration',
  'validation',
  'test',
  'target',
  'targetShares',
  'sensitivities',
  ...TASK_OPTIONS,
  ...WINDOW_OPTIONS,
  'maxTrials',
  'greedyTokens',
  ...RUN_OPTIONS,
  'dryRun',
  ...HAND_OUT_OPTIONS,
] as const satisfies readonly OptionName[];

export const compressCommand = defineCommand({
  name: 'compress',
  summary: 'Make a model as small or as fast as you say; what is done to each linear is chosen for you',
  argument: CHECKPOINT,
  options: OPTION_NAMES,
  required: ['out'],
  details:
    'One model, one budget: --bits, --size, --tokens-per-second or --zeros. The sensitivity of every linear to every treatment is measured (KL to the dense model, with only that linear treated), a Lagrange multiplier chooses the treatments within the budget, and GPTQ rounds the weights so that they follow the dense model (--target). Two numbers that bend the table, and the shares of the stream, are found on validation text, by KL to the dense model; the dearest plan of one treatment that fits is a candidate too. Zeros save bytes only with 4 bits, 8 or 10 of 16, where a mask takes their place (3.13 and 2.63 bits a weight with scales); that is what they cost here, and a packed file has that layout. --zeros alone makes a sparse checkpoint of whole weights: SparseGPT, each linear its own share, the mean as asked. With `--allow bits,drop` whole blocks may go too: those whose loss costs least KL, as many as the table says pay, and only if the shorter model is nearer to the dense one on validation text; a block left out costs nothing, also of --bits. `--out model.lw` writes one packed file, with its record, report and table beside it; `--out model.gguf` one for llama.cpp that keeps the integers (4 bits in groups of 32 as Q4_0, 8 bits as Q8_0: GGUF has no type for our 2 and 3 bits or for zeros); `--out <dir>` writes a checkpoint with `layerwise.scales`, for `layerwise pack` and `layerwise export`. The table is `sensitivities.json`: with --sensitivities any other budget takes minutes, and `layerwise profile --treatments` measures it alone. --target is `stream` by default here.',
  examples: [
    {
      what: 'Three and a half bits a weight, packed',
      command:
        'layerwise compress ./my-model --bits 3.5 --calibration calibration.txt --validation validation.txt --test test.txt --out my-model.lw',
    },
    {
      what: 'A file of 80 megabytes',
      command:
        'layerwise compress ./my-model --size 80MB --calibration calibration.txt --validation validation.txt --out my-model-80.lw',
    },
    {
      what: 'Half of the weights zero, the other half in few bits',
      command:
        'layerwise compress ./my-model --zeros 0.5 --bits 3.2 --calibration calibration.txt --validation validation.txt --out my-model.lw',
    },
    {
      what: 'For llama.cpp, each linear in 4 or 8 bits',
      command:
        'layerwise compress ./my-model --bits 5 --calibration calibration.txt --validation validation.txt --out my-model.gguf',
    },
    {
      what: 'What it would do, and how long',
      command:
        'layerwise compress ./my-model --bits 3 --calibration calibration.txt --validation validation.txt --out my-model.lw --dry-run',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    const options = { ...compressOptions(checkpoint, values), onProgress };
    if (values.dryRun) {
      const planned = await compress({ ...options, dryRun: true });
      return { json: planned, text: describeForecast(planned) };
    }
    const result = await compress(options);
    return { json: toJson(result), text: toText(result) };
  },
});

type CompressValues = Values<(typeof OPTION_NAMES)[number]>;

export function compressOptions(checkpoint: string, asked: CompressValues): CompressOptions {
  const { averageBits, size, allow, tasks, targetShares, out, workQueue, dryRun: _, ...options } = asked;
  return {
    checkpoint,
    out: out!,
    ...options,
    ...(averageBits === undefined ? {} : { bits: averageBits }),
    ...(size === undefined ? {} : { size: parseSize(size) }),
    ...(allow === undefined ? {} : { allow: allow.split(',').map((name) => name.trim()) }),
    ...parseTasks(tasks),
    ...parseShares(targetShares),
    ...parseQueue(workQueue),
  };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9 };

/** `80MB` in bytes. @throws OptionError E_OPTION_SIZE */
function parseSize(text: string): number {
  const [, number, unit = ''] = /^\s*([\d.]+)\s*([kKMG]?B?)\s*$/.exec(text) ?? [];
  const factor = UNITS[unit];
  const value = number === undefined || factor === undefined ? Number.NaN : Number(number) * factor;
  if (value > 0) return Math.floor(value);
  throw new OptionError(
    'E_OPTION_SIZE',
    `--size: expected a size such as 80MB or 1.5GB, got ${JSON.stringify(text)}.`,
    {
      option: 'size',
      got: text,
    },
  );
}

function describeForecast({ units, treatments, trials, seconds, memory, out }: CompressForecast): string {
  return [
    `${units} units (q, k and v; o; gate and up; down) with ${treatments} treatments each are measured once,`,
    `then at most ${trials} exact trials, then ${out}.`,
    `About ${formatSeconds(seconds)} on this machine, and ${formatBytes(memory)} of memory. Nothing was written.`,
  ].join('\n');
}

const scores = (row: ResultRow | null) => ({
  validation: row?.validation?.perplexity ?? null,
  test: row?.test?.perplexity ?? null,
  ...(row?.tasks ? { tasks: row.tasks } : {}),
  ...fidelityJson(row?.fidelity),
});

function toJson({ manifest, trials, packed, exported, seconds, peakMemoryBytes, out }: CompressResult): unknown {
  return {
    ...(manifest.bits ? { bits: manifest.bits.stored } : {}),
    zeros: manifest.sparsity.realised,
    ...(manifest.dropped ? { dropped: manifest.dropped } : {}),
    dense: scores(manifest.dense),
    uniform: scores(manifest.uniform),
    chosen: {
      hyperparameters: manifest.plan.from?.values ?? {},
      ...(manifest.target ? { target: manifest.target } : {}),
      ...scores(manifest.chosen),
    },
    ...(manifest.judge ? { judge: manifest.judge } : {}),
    trials: trials.map(({ hyperparameters, target, validation, divergence, interval, seconds: took }) => ({
      hyperparameters,
      ...(target ? { target } : {}),
      validation: validation.perplexity,
      ...(divergence ? { divergence: divergence.reduce((a, b) => a + b, 0) / divergence.length } : {}),
      interval,
      seconds: took,
    })),
    seconds,
    peakMemoryBytes,
    out,
    packed,
    ...(exported ? { exported } : {}),
  };
}

function toText({ manifest, out, packed, exported, seconds }: CompressResult): string {
  const { bits, plan, target, sparsity, pattern, dropped } = manifest;
  const follows = target ? `, stream α = ${target.alpha}, γ = ${target.gamma}` : '';
  const chosen = `${plan.from?.policy === 'uniform' ? 'all alike' : `mixed, ${describeValues(plan.from?.values ?? {})}`}${follows}`;
  const models: (readonly [label: string, row: ResultRow])[] = [['dense', manifest.dense]];
  if (manifest.uniform && plan.from?.policy !== 'uniform') models.push(['all alike', manifest.uniform]);
  models.push([chosen, manifest.chosen]);
  const rows = models.map(([label, of]) => [
    label,
    formatPerplexity(of.validation?.perplexity),
    formatPerplexity(of.test?.perplexity),
  ]);
  const counts = new Map<number, number>();
  for (const { bits: width, weights } of Object.values(bits?.linears ?? {})) {
    counts.set(width, (counts.get(width) ?? 0) + weights);
  }
  const total = [...counts.values()].reduce((a, b) => a + b, 0);
  const widths = [...counts].sort(([a], [b]) => a - b);
  return [
    formatTable([['perplexity', 'validation', 'test'], ...rows]),
    '',
    ...fidelityTable(models.map(([label, of]) => [label, of.fidelity])),
    ...(manifest.tasks ? [modelTable(manifest.tasks, models), ...describeCuts(manifest.tasks), ''] : []),
    [
      bits &&
        `${bits.stored.toFixed(2)} bits per weight of the linears with scales: ${widths.map(([width, weights]) => `${((100 * weights) / total).toFixed(0)} % in ${width} bits`).join(', ')}`,
      pattern !== undefined && `${formatPercent(sparsity.realised, 1)} zeros`,
      dropped && `without ${dropped.length === 1 ? 'block' : 'blocks'} ${dropped.join(', ')}`,
      formatSeconds(seconds),
    ]
      .filter(Boolean)
      .join('; ')
      .concat('.'),
    ...(packed
      ? [`packed      ${out}, ${formatBytes(packed.fileBytes)}`, `report      ${out}.html`]
      : exported
        ? [
            `gguf        ${out}, ${formatBytes(exported.fileBytes)}: ${exported.types.map(({ type, tensors }) => `${tensors} linears ${type}`).join(', ')}`,
            `report      ${out}.html`,
          ]
        : [`checkpoint  ${out}`, `report      ${join(out, 'report.html')}`]),
  ].join('\n');
}
