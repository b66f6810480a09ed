import { join } from 'node:path';
import { type PruneResult, prune, readPlan } from '../../api/index.js';
import { OptionError } from '../../base/index.js';
import type { ResultRow } from '../../records/index.js';
import type { PruneOptions } from '../../runs/index.js';
import { describeGains, describeValues, formatPercent, formatPerplexity, warnOfGains } from '../../words/index.js';
import { accuracyJson, accuracyTable } from '../accuracy.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds, formatTable } from '../format.js';
import { parseNumbers, parseQueue, parseShares, parseTasks } from '../option-values.js';
import { HAND_OUT_OPTIONS, type OptionName, PACKING_OPTIONS, PRUNING_OPTIONS, type Values } from '../options.js';
import { describeCuts, modelTable } from '../tasks.js';

const OPTION_NAMES = [
  'sparsity',
  'towerSparsity',
  'towerBudget',
  'allocation',
  'beta',
  'hyperparameters',
  'plan',
  ...PRUNING_OPTIONS,
  ...PACKING_OPTIONS,
  ...HAND_OUT_OPTIONS,
  'push',
  'private',
] as const satisfies readonly OptionName[];

export const pruneCommand = defineCommand({
  name: 'prune',
  summary: 'Make a checkpoint sparse, and measure what it costs',
  argument: CHECKPOINT,
  options: OPTION_NAMES,
  required: ['out'],
  details:
    'Writes a plain Hugging Face checkpoint with zeros (same dtype, same names, every other file byte for byte), `layerwise.json` (the record of the run) and `report.html`. The output appears whole or not at all; unfinished work is in `<out>.partial`, and the same command with --resume continues it and ends with the same bytes. With --push the name and the token are checked before any work; if the upload fails, the output stays and `layerwise push` can try again.',
  examples: [
    {
      what: 'ATP with β searched on validation text',
      command:
        'layerwise prune ./my-model --sparsity 0.7 --calibration calibration.txt --validation validation.txt --test test.txt --out my-model-70',
    },
    {
      what: 'The same, with the dense, uniform and chosen models also scored on the seven tasks that ATP reports',
      command:
        'layerwise prune ./my-model --sparsity 0.7 --calibration calibration.txt --validation validation.txt --test test.txt --suite atp --data tasks --out my-model-70',
    },
    {
      what: 'A β of one’s own, nothing evaluated',
      command: 'layerwise prune ./my-model --sparsity 0.6 --beta 0.008 --calibration calibration.txt --out my-model-60',
    },
    {
      what: 'Magnitude needs no text',
      command: 'layerwise prune ./my-model --sparsity 0.5 --allocation uniform --criterion magnitude --out my-model-50',
    },
    {
      what: 'N:16, packed for the sparse runtime',
      command:
        'layerwise prune ./my-model --sparsity 0.75 --pattern n:16 --calibration calibration.txt --validation validation.txt --out my-model-75 --pack my-model-75.lw',
    },
    {
      what: 'A model and texts from the Hub, the result back to it',
      command:
        'layerwise prune org/model --sparsity 0.7 --calibration c4 --validation wikitext2 --test wikitext2 --out model-70 --push me/model-70 --private',
    },
    {
      what: 'The language half of a LLaVA, on questions about images',
      command:
        'layerwise prune ./llava --scope language --sparsity 0.5 --calibration train.jsonl --validation heldout.jsonl --out llava-50',
    },
    {
      what: 'Both halves, each with a sparsity of its own',
      command:
        'layerwise prune ./llava --scope all --tower-sparsity vision=0.3,language=0.5 --calibration train.jsonl --validation heldout.jsonl --out llava-30-50',
    },
    {
      what: 'Both halves under one budget, by how much the answers depend on each block',
      command:
        'layerwise prune ./llava --scope all --tower-budget joint --sparsity 0.5 --allocation ecoflap --calibration train.jsonl --out llava-joint',
    },
    {
      what: 'The vision half of a CLIP, scored against names of classes',
      command:
        'layerwise prune ./clip --scope vision --sparsity 0.5 --images train/ --validation heldout/ --classes names.txt --out clip-50',
    },
    {
      what: 'The text half of a CLIP, by how well captions find their images',
      command:
        'layerwise prune ./clip --scope text --sparsity 0.5 --calibration train.jsonl --validation heldout.jsonl --out clip-text-50',
    },
    {
      what: 'Replay a plan',
      command: 'layerwise prune ./my-model --plan plan.json --calibration calibration.txt --out my-model-plan',
    },
  ],
  run: async (checkpoint, values, onProgress) => {
    const result = await prune({ ...(await pruneOptions(checkpoint, values)), onProgress });
    return { json: toJson(result), text: toText(result) };
  },
});

type PruneValues = Values<(typeof OPTION_NAMES)[number]>;

/** Turns the values of the command line into options of `prune`. @throws OptionError E_OPTION_…, ResourceError */
export async function pruneOptions(checkpoint: string, asked: PruneValues): Promise<PruneOptions> {
  const {
    plan,
    out,
    workQueue,
    hyperparameters,
    towerSparsity,
    targetShares,
    tasks,
    pack,
    values,
    layout,
    head,
    ...options
  } = asked;
  return {
    checkpoint,
    out: out!,
    ...options,
    ...parseTasks(tasks),
    ...(hyperparameters === undefined ? {} : { hyperparameters: parseNumbers(hyperparameters) }),
    ...(towerSparsity === undefined ? {} : { towerSparsity: parseNumbers(towerSparsity, 'tower-sparsity') }),
    ...parseShares(targetShares),
    ...parseQueue(workQueue),
    ...packingOf(pack, { values, layout, head }),
    ...(plan === undefined ? {} : { plan: await readPlan(plan) }),
  };
}

type Packing = { readonly values?: string; readonly layout?: string; readonly head?: string };

/** @throws OptionError E_OPTION_… where an option of packing was given without --pack */
function packingOf(pack: string | undefined, how: { readonly [K in keyof Packing]: string | undefined }) {
  const given = Object.entries(how).filter(([, value]) => value !== undefined);
  if (pack !== undefined) return { pack: { out: pack, ...(Object.fromEntries(given) as Packing) } };
  const option = given[0]?.[0];
  if (option === undefined) return {};
  throw new OptionError(
    `E_OPTION_${option.toUpperCase()}`,
    `--${option} only applies together with --pack <model.lw>.`,
    { option },
  );
}

const scores = (row: ResultRow | null) => ({
  validation: row?.validation?.perplexity ?? null,
  test: row?.test?.perplexity ?? null,
  ...imageScores(row),
  ...(row?.tasks ? { tasks: row.tasks } : {}),
  ...fidelityJson(row?.fidelity),
});

/** On images. */
const imageScores = (row: ResultRow | null) =>
  Object.fromEntries(
    (['validation', 'test'] as const).flatMap((which) => {
      const evaluation = row?.[which];
      if (!evaluation?.ranks) return [];
      return [[`${which}Images`, accuracyJson(evaluation)]];
    }),
  );

/** ATP's β; null where the plan has none. */
const betaOf = ({ manifest }: PruneResult): number | null => manifest.plan.from?.values.beta ?? null;

function toJson(result: PruneResult): unknown {
  const { manifest, trials, packed, seconds, peakMemoryBytes, out, pushed } = result;
  return {
    sparsity: { target: manifest.sparsity.target, realised: manifest.sparsity.realised },
    ...(manifest.towers ? { towers: manifest.towers } : {}),
    ...(manifest.joint ? { joint: manifest.joint } : {}),
    dense: scores(manifest.dense),
    uniform: scores(manifest.uniform),
    chosen: {
      beta: betaOf(result),
      hyperparameters: manifest.plan.from?.values ?? {},
      rates: manifest.sparsity.blocks,
      ...(manifest.target ? { target: manifest.target } : {}),
      ...scores(manifest.chosen),
    },
    trials: trials.map(({ beta, hyperparameters, target, validation, interval, exact, seconds }) => ({
      beta,
      hyperparameters,
      ...(target ? { target } : {}),
      validation: validation.perplexity,
      interval,
      exact,
      seconds,
    })),
    ...(manifest.gains ? { gains: manifest.gains } : {}),
    seconds,
    peakMemoryBytes,
    out,
    packed,
    ...(pushed ? { pushed } : {}),
  };
}

/** On images, cross-entropy and accuracy instead of perplexity. */
const imageTables = (models: readonly (readonly [label: string, row: ResultRow])[]): string[] =>
  (['validation', 'test'] as const).flatMap((which) =>
    accuracyTable(
      which,
      models.map(([label, row]) => [label, row[which]]),
    ),
  );

const VERDICTS = {
  better: 'better than uniform',
  tie: 'a tie with uniform: the difference is inside the noise',
  worse: 'worse than uniform',
} as const;

function toText(result: PruneResult): string {
  const { manifest, out, packed, seconds, pushed } = result;
  const name = manifest.plan.from?.policy ?? 'the plan';
  const values = describeValues(manifest.plan.from?.values ?? {});
  const row = (label: string, of: ResultRow): string[] => [
    label,
    formatPerplexity(of.validation?.perplexity),
    formatPerplexity(of.test?.perplexity),
  ];
  const models: (readonly [label: string, row: ResultRow])[] = [['dense', manifest.dense]];
  if (manifest.uniform) models.push(['uniform', manifest.uniform]);
  if (name !== 'uniform') models.push([values === '' ? name : `${name}, ${values}`, manifest.chosen]);
  const ofImages = manifest.texts.validation?.images ?? manifest.texts.test?.images;
  const { dialogue, captions } = manifest.texts.validation ?? manifest.texts.test ?? {};
  const what = dialogue ? 'perplexity of answers' : captions ? 'exp of cross-entropy' : 'perplexity';
  const rows = [[what, 'validation', 'test'], ...models.map(([label, of]) => row(label, of))];
  const evaluated = manifest.dense.validation || manifest.dense.test || manifest.chosen.validation;
  return [
    ...(evaluated && !ofImages ? [formatTable(rows), ''] : []),
    ...(ofImages ? imageTables(models) : []),
    ...fidelityTable(models.map(([label, of]) => [label, of.fidelity])),
    ...(manifest.tasks ? [modelTable(manifest.tasks, models), ...describeCuts(manifest.tasks), ''] : []),
    ...(manifest.search ? [`${name} is ${VERDICTS[manifest.search.verdict]}.`] : []),
    ...(manifest.gains ? [describeGains(manifest.gains)] : []),
    ...(manifest.gains?.parted ? [warnOfGains(manifest.gains)] : []),
    `${formatPercent(manifest.sparsity.realised)} of the prunable weights are zero, counted from the files written; ${formatSeconds(seconds)}.`,
    ...(manifest.joint
      ? [`together    ${formatPercent(manifest.joint.realised)} of the prunable weights of both`]
      : []),
    ...(manifest.towers ?? []).map(
      ({ trunk, realised }) => `${trunk.padEnd(10)}  ${formatPercent(realised)} of the prunable weights of this trunk`,
    ),
    `checkpoint  ${out}`,
    `report      ${join(out, 'report.html')}`,
    ...(packed ? [`packed      ${packed.out}, ${packed.parts[0]!.bits.toFixed(2)} bits a weight of the linears`] : []),
    ...(pushed ? [`uploaded    ${pushed.url}`] : []),
  ].join('\n');
}
