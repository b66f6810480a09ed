// README.md of an upload, from the record of the run: for the Hub (base model, tags, licence) and for people (perplexities,
// sparsity by block, the command). The licence lines are copied from the source’s card. Like the record, it has no times
// and no paths of this machine.

import type {
  CutRecord,
  DropRecord,
  Evaluation,
  ExpertsRecord,
  GrowRecord,
  Manifest,
  ManifestText,
  PushedRecord,
  UnlearnRecord,
} from '../records/index.js';
import {
  describeStart,
  describeValues,
  formatPercent,
  formatPerplexity,
  nameUnits,
  wordsOfLoss,
} from '../words/index.js';

export type CardInput = {
  /** The repository that the card is for. */
  readonly repo: string;
  readonly record: PushedRecord;
  /** The source's card, where it has one. */
  readonly sourceCard?: string | undefined;
};

/** The Markdown of a model card, with its YAML front matter. */
export function renderCard({ repo, record, sourceCard = '' }: CardInput): string {
  const { name, commit } = record.source;
  const pruned = record.format === 'layerwise-run';
  const front = {
    library_name: 'transformers',
    pipeline_tag: 'text-generation',
    ...readFrontMatter(sourceCard),
    // Of transformers the Hub shows how to load it, which fails here.
    ...(isForLayerwise(record) ? { library_name: 'layerwise' } : {}),
    // The Hub has no relation for pruning; of those it has, this one means "the same model, changed weights".
    ...(commit === undefined
      ? {}
      : { base_model: name, base_model_relation: pruned && record.bits ? 'quantized' : 'finetune' }),
    tags: [...new Set(['layerwise', ...(pruned ? tagsOf(record) : TAGS[record.format])])],
  };
  const policy = pruned ? record.plan.from?.policy : undefined;
  if (policy) front.tags.push(policy);
  const source = commit === undefined ? `\`${name}\`` : `[${name}](https://huggingface.co/${name}) at \`${commit}\``;
  const body = describe(record, source);
  return `${['---', ...formatYaml(front), '---'].join('\n')}\n\n# ${repo.split('/').at(-1)}\n\n${body.join('\n\n')}\n`;
}

/** Whether its blocks differ as only Layerwise reads it. */
function isForLayerwise(record: PushedRecord): boolean {
  switch (record.format) {
    case 'layerwise-cut':
      return new Set(record.widths.after.map(String)).size > 1;
    case 'layerwise-experts':
      return new Set(record.blocks.map(({ kept }) => kept.length)).size > 1;
    default:
      return false;
  }
}

function describe(record: PushedRecord, source: string): string[] {
  switch (record.format) {
    case 'layerwise-run':
      return describePruning(record, source);
    case 'layerwise-cut':
      return describeCut(record, source);
    case 'layerwise-drop':
      return describeRemoval(record, source);
    case 'layerwise-experts':
      return describeExperts(record, source);
    case 'layerwise-grow':
      return describeGrowth(record, source);
    case 'layerwise-unlearn':
      return describeUnlearning(record, source);
    default:
      return record satisfies never;
  }
}

const TAGS = {
  'layerwise-cut': ['pruned', 'structured-pruning'],
  'layerwise-drop': ['pruned', 'layer-removal'],
  'layerwise-experts': ['pruned', 'expert-pruning'],
  'layerwise-grow': ['depth-up-scaling'],
  'layerwise-unlearn': ['unlearning'],
} as const;

const tagsOf = ({ bits, sparsity, criterion }: Manifest): string[] => [
  ...(bits ? ['quantized'] : []),
  ...(bits && sparsity.target === 0 ? [] : ['pruned', 'sparse']),
  criterion,
];

/** What was done to the weights, in a sentence or two. */
function describeEdit(
  { sparsity, bits, criterion, pattern, tool }: Manifest,
  source: string,
  allocation: string,
): string {
  if (bits) {
    return `${source}, with the weights of its blocks' linears quantised to ${bits.stored.toFixed(2)} bits (scales counted) by Layerwise ${tool.version}: method ${criterion}, allocation ${allocation}; ${formatPercent(sparsity.realised)} of them are zero. Nothing was trained afterwards. It loads like its source: the files hold the quantised values in the source's dtype, and \`layerwise.scales\` what packing needs.`;
  }
  return `${source}, pruned to ${formatPercent(sparsity.realised)} zeros among the weights of its blocks' linears (target ${formatPercent(sparsity.target)}) by Layerwise ${tool.version}: criterion ${criterion}, pattern ${pattern}, allocation ${allocation}. Nothing was trained afterwards. It loads like its source; zeros alone make it neither smaller on disk nor faster.`;
}

function describePruning(record: Manifest, source: string): string[] {
  const { sparsity, bits, criterion, plan, dense, uniform, chosen, texts, command, tool, seed } = record;
  const policy = plan.from?.policy ?? 'a plan of rates';
  const values = describeValues(plan.from?.values ?? {});
  const allocation = values === '' ? policy : `${policy}, ${values}`;
  const rows = [
    ['dense', dense] as const,
    ['uniform', uniform] as const,
    ...(policy === 'uniform' && !bits ? [] : [[bits ? criterion : allocation, chosen] as const]),
  ].flatMap(([label, row]) => (row ? [[label, scoreOf(row.validation), scoreOf(row.test)]] : []));
  const damage = texts.validation || texts.test ? perplexities(rows, texts.validation, texts.test) : [];
  return [
    describeEdit(record, source, allocation),
    ...damage,
    bits ? '## Bits by block' : '## Sparsity by block',
    table(
      ['block', ...(bits ? ['bits'] : []), 'zeros'],
      sparsity.blocks.map((share, block) => [
        `${block}`,
        ...(bits ? [bits.blocks[block]!.toFixed(3)] : []),
        formatPercent(share),
      ]),
    ),
    '## How it was made',
    ...describeText('Calibration', texts.calibration),
    `\`\`\`sh\n${command}\n\`\`\``,
    `Seed ${seed}, ${tool.engine} on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read; \`report.html\` shows it.`,
  ];
}

function describeCut(record: CutRecord, source: string): string[] {
  const { units, importance, repair, parameters, dense, uniform, cut, loads, texts, command, tool, seed } = record;
  const rows = [
    ['dense', dense] as const,
    ...(uniform ? [['uniform', uniform] as const] : []),
    ['cut', cut] as const,
  ].map(([label, { validation, test }]) => [label, formatPerplexity(validation), formatPerplexity(test)]);
  const values = describeValues(record.hyperparameters);
  const allocation = values === '' ? record.allocation : `${record.allocation}, ${values}`;
  const widths = record.equal ? 'the same from every block' : `allocation ${allocation}`;
  return [
    `${source} with fewer ${nameUnits(units)}, cut by Layerwise ${tool.version}: importance ${importance}, ${widths}, repair ${repair}; ${formatPercent(parameters.after / parameters.before)} of the parameters are left. Nothing was trained afterwards.`,
    ...(texts.validation || texts.test ? perplexities(rows, texts.validation, texts.test) : []),
    '## What loads it',
    loads.map((one) => `- ${plainText(one)}`).join('\n'),
    '## How it was made',
    ...describeText('Calibration', texts.calibration),
    `\`\`\`sh\n${command}\n\`\`\``,
    `Seed ${seed}, on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read; \`report.html\` shows it.`,
  ];
}

function describeRemoval(record: DropRecord, source: string): string[] {
  const { removed, blocks, parameters, method, dense, dropped, repair, texts, tool, seed } = record;
  const row = (label: string, { validation, test }: typeof dense): string[] => [
    label,
    formatPerplexity(validation),
    formatPerplexity(test),
  ];
  const rows = [
    row('dense', dense),
    row(`without ${removed.length} blocks`, repair?.unrepaired ?? dropped),
    ...(repair ? [row(repair.merge ? 'merged' : 'repaired', dropped)] : []),
  ];
  const trained = repair ? describeRepair(repair) : 'Nothing was trained afterwards.';
  return [
    `${source} without ${removed.length} of its ${blocks.before} blocks (${removed.join(', ')}), chosen by ${method} with Layerwise ${tool.version}; ${formatPercent(parameters.after / parameters.before)} of the parameters are left. ${trained}`,
    ...(texts.validation || texts.test ? perplexities(rows, texts.validation, texts.test) : []),
    '## How it was made',
    ...describeText('Calibration', texts.calibration),
    `Seed ${seed}, on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read.`,
  ];
}

function describeRepair({ merge, method, seams }: NonNullable<DropRecord['repair']>): string {
  const blocks = seams.map(({ block }) => block).join(', ');
  const made = merge
    ? `They were merged with the blocks before them (${blocks}): the best heads and channels stay, fitted in closed form`
    : `What they did was fitted in closed form into the blocks beside them (${blocks})`;
  const followed = method === 'stream' ? ', and the blocks behind follow the dense stream' : '';
  return `${made}${followed}; nothing was trained afterwards.`;
}

function describeExperts(record: ExpertsRecord, source: string): string[] {
  const { method, experts, parameters, dense, pruned, texts, command, tool, seed } = record;
  const rows = [
    ['dense', formatPerplexity(dense.validation), formatPerplexity(dense.test)],
    [method, formatPerplexity(pruned.validation), formatPerplexity(pruned.test)],
  ];
  const loads = isForLayerwise(record)
    ? 'Its blocks have different numbers of experts (`layer_experts` in config.json), which Layerwise runs and transformers refuses.'
    : 'It loads like its source.';
  return [
    `${source} with ${experts.after} of its ${experts.before} experts, chosen by ${method} with Layerwise ${tool.version}; ${formatPercent(parameters.after / parameters.before)} of the parameters are left. Nothing was trained afterwards. ${loads}`,
    ...(texts.validation || texts.test ? perplexities(rows, texts.validation, texts.test) : []),
    '## How it was made',
    ...describeText('Calibration', texts.calibration),
    `\`\`\`sh\n${command}\n\`\`\``,
    `Seed ${seed}, on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read; \`report.html\` shows it.`,
  ];
}

function describeGrowth(record: GrowRecord, source: string): string[] {
  const { grown, blocks, parameters, method, dense, deeper, texts, tool, seed } = record;
  const rows = [
    ['dense', formatPerplexity(dense.validation), formatPerplexity(dense.test)],
    [`with ${grown.length} blocks more`, formatPerplexity(deeper.validation), formatPerplexity(deeper.test)],
  ];
  return [
    `${source} with ${blocks.after} blocks instead of ${blocks.before}, made by ${method} with Layerwise ${tool.version}; the new ones are ${grown.join(', ')}. It has ${formatPercent(parameters.after / parameters.before)} of the parameters. Nothing was trained afterwards.`,
    ...(texts.validation || texts.test ? perplexities(rows, texts.validation, texts.test) : []),
    '## How it was made',
    `Seed ${seed}, on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read.`,
  ];
}

function describeUnlearning(record: UnlearnRecord, source: string): string[] {
  const { chosen, method, tensors, dense, suppressed, leaks, texts, command, tool, seed } = record;
  const row = (label: string, { forget, retain }: typeof dense, back: number | null): string[] => [
    label,
    ...[forget, retain].flatMap(({ nll, accuracy }) => [nll.toFixed(3), formatPercent(accuracy)]),
    back === null ? '–' : formatPercent(back),
  ];
  return [
    `${source}, with what a text taught suppressed by Layerwise ${tool.version}: ${method} at block ${chosen.layer}, ${tensors.length} tensors changed. **Suppressed is not erased**: the last column says how much of it comes back, and by what.`,
    '## Held-out windows',
    table(
      ['', 'forget: loss', 'top-1', 'retain: loss', 'top-1', 'comes back'],
      [
        row('before', dense, null),
        row('suppressed', suppressed, null),
        ...leaks.map(({ name, scores, back }) => row(name, scores, back.nll)),
      ],
    ),
    [...describeText('Forget', texts.forget), ...describeText('Retain', texts.retain)].join(' '),
    '## How it was made',
    `\`\`\`sh\n${command}\n\`\`\``,
    `Seed ${seed}, on ${tool.device}. \`layerwise.json\` is the record of the run, with the SHA-256 of every file it read; \`report.html\` shows it.`,
  ];
}

function perplexities(rows: string[][], validation: ManifestText | null, test: ManifestText | null): string[] {
  const { images, dialogue } = validation ?? test ?? {};
  const ofImages = images !== undefined;
  const protocol = ofImages
    ? 'Nats, the mean over images.'
    : dialogue
      ? 'Nats per token of the answers, the mean over questions.'
      : 'Non-overlapping windows, the tail dropped, the first token of a window not predicted, as in the pruning papers; it is not the word perplexity of lm-evaluation-harness.';
  return [
    ofImages ? '## Cross-entropy' : dialogue ? '## Loss of the answers' : '## Perplexity',
    table(['', 'validation', 'test'], rows),
    [...describeText('Validation', validation), ...describeText('Test', test), protocol].join(' '),
  ];
}

const describeText = (role: string, text: ManifestText | null): string[] =>
  text
    ? [
        text.images
          ? `${role}: ${plainText(text.name)}, ${text.windows} images of ${text.images.width}×${text.images.height} pixels.`
          : text.dialogue
            ? `${role}: ${plainText(text.name)}, ${text.windows} questions about ${text.dialogue.images} images.`
            : `${role}: ${plainText(text.name)}, ${text.windows} windows of ${text.length} tokens${describeStart(text.bos)}.`,
      ]
    : [];

const scoreOf = (evaluation: Evaluation | null): string =>
  evaluation ? wordsOfLoss(evaluation).format(evaluation) : '–';

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(plainText).join(' | ')} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? '---|' : '---:|')).join('')}`, ...rows.map(line)].join('\n');
}

/** Text as Markdown shows it unchanged, on one line. */
const plainText = (text: string): string => text.replace(/[\r\n]+/g, ' ').replace(/[|<>[\]`]/g, '\\$&');

/** The keys that are copied from a source’s card, with values on one line. */
const CARRIED = /^(license|license_name|license_link|pipeline_tag|library_name):[ \t]*(.+?)[ \t]*$/;

function readFrontMatter(card: string): Record<string, string> {
  const block = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1] ?? '';
  const found: Record<string, string> = {};
  for (const line of block.split(/\r?\n/)) {
    const [, key, value] = CARRIED.exec(line) ?? [];
    // A list, a map or text over several lines would need a parser; none of these keys holds one.
    if (key && value && !/^[[{>|&*!]/.test(value)) found[key] = value.replace(/^(['"])(.*)\1$/, '$2');
  }
  return found;
}

/** Words that YAML would not read as text. */
const MEANT_OTHERWISE = /^(true|false|yes|no|on|off|y|n|null|~|[\d.+-].*)$/i;

function formatYaml(values: Readonly<Record<string, string | readonly string[]>>): string[] {
  const scalar = (text: string): string =>
    /^[\w][\w./-]*$/.test(text) && !MEANT_OTHERWISE.test(text) ? text : JSON.stringify(text);
  return Object.entries(values).flatMap(([key, value]) =>
    typeof value === 'string' ? [`${key}: ${scalar(value)}`] : [`${key}:`, ...value.map((one) => `  - ${scalar(one)}`)],
  );
}
