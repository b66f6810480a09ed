// Every option of every command, declared once: the parser, the help texts, the pages under docs/reference/commands and the types
// of the parsed values come from here. A key is the name that the library uses. This file only parses; the API validates.

import { DECODER_DEVICES } from '../decoder/index.js';
import { DEVICES } from '../engine/index.js';
import { DATA_SETS } from '../hub/index.js';
import { HEADS, LAYOUT_CHOICES, VALUES } from '../packed/index.js';
import { COUNTINGS, DROP_METHODS, EXPORTERS } from '../plan/index.js';
import { DEFAULTS, JUDGES, SPECIAL_TOKENS } from '../runs/index.js';
import { WINDOW_STARTS } from '../text/index.js';
import { SUITES, TASKS } from '../zeroshot/index.js';
import { COMPRESS_OPTIONS } from './compress-options.js';
import { CUT_OPTIONS } from './cut-options.js';
import { EVIDENCE_OPTIONS } from './evidence-options.js';
import { EXPERTS_OPTIONS } from './experts-options.js';
import { EXPORT_OPTIONS } from './export-options.js';
import { FRONTIER_OPTIONS } from './frontier-options.js';
import { GROW_OPTIONS } from './grow-options.js';
import { HEAL_OPTIONS } from './heal-options.js';
import { IMAGE_OPTIONS } from './image-options.js';
import { QUANTISE_OPTIONS } from './quantise-options.js';
import { QUEUE_OPTIONS } from './queue-options.js';
import { SERVE_OPTIONS } from './serve-options.js';
import { UNLEARN_OPTIONS } from './unlearn-options.js';

export type OptionSpec = {
  readonly kind: 'number' | 'text' | 'flag';
  readonly flag: string;
  /** The placeholder of the value in help texts. */
  readonly value?: string;
  readonly text: string;
  /** The default, in words. */
  readonly otherwise?: string;
};

const listed = (names: Iterable<string>): string => [...names].join('|');
const explained = (things: Iterable<{ readonly name: string; readonly summary: string }>): string =>
  [...things].map(({ name, summary }) => `${name}: ${summary}`).join('; ');

/** The tasks of lm-evaluation-harness. */
const HARNESS_TASKS = [...TASKS.values()].filter(({ form }) => form !== 'answers').map(({ name }) => name);

/** The placeholder for a text. The name of a data set means the one on the Hub, unless a file has that name. */
const TEXT = `file|${listed(Object.keys(DATA_SETS))}`;

export const OPTIONS = {
  ...COMPRESS_OPTIONS,
  ...CUT_OPTIONS,
  ...QUANTISE_OPTIONS,
  ...GROW_OPTIONS,
  ...EXPERTS_OPTIONS,
  ...UNLEARN_OPTIONS,
  ...EVIDENCE_OPTIONS,
  ...IMAGE_OPTIONS,
  ...QUEUE_OPTIONS,
  sparsity: {
    kind: 'number',
    flag: '--sparsity',
    value: 'S',
    text: 'share of the prunable weights to set to zero, between 0 and 1',
  },
  sparsities: {
    kind: 'text',
    flag: '--sparsity',
    value: 'S,…',
    text: 'targets to compare at, each between 0 and 1, separated by commas',
  },
  allocations: {
    kind: 'text',
    flag: '--allocations',
    value: 'name,…',
    text: 'policies to compare; layerwise help policies lists them',
    otherwise: 'all but evo',
  },
  allocation: {
    kind: 'text',
    flag: '--allocation',
    value: 'policy',
    text: 'how sparsity is spread over blocks; layerwise help policies lists them',
    otherwise: DEFAULTS.allocation,
  },
  beta: {
    kind: 'number',
    flag: '--beta',
    value: 'β',
    text: "set ATP's constant difference of sparsity between neighbouring blocks; short for --hyperparameters beta=β; below 0 it falls with depth",
    otherwise: 'searched on validation text',
  },
  hyperparameters: {
    kind: 'text',
    flag: '--hyperparameters',
    value: 'name=number,…',
    text: 'fixed numbers of the policy, such as line=0.2,gain=0.5; the others are searched; layerwise help hyperparameters lists them',
    otherwise: 'as published, or searched where there is no published value',
  },
  budget: {
    kind: 'text',
    flag: '--budget',
    value: listed(COUNTINGS),
    text: 'exact: the parameter-weighted mean is S to one weight. published: as the papers’ code counts, ⌊columns × s⌋ per row and the unweighted mean over blocks; β ≥ 0 alone is searched',
    otherwise: DEFAULTS.budget,
  },
  profile: {
    kind: 'text',
    flag: '--profile',
    value: 'profile.json',
    text: 'allocate from what layerwise profile measured on this checkpoint; if calibration options are given too, they must be those of the profile',
  },
  measures: {
    kind: 'text',
    flag: '--measures',
    value: 'name,…',
    text: 'what to measure besides influence and angles, or none; layerwise help measures lists them',
    otherwise: 'all but halfError and gradient, which take longest',
  },
  plan: {
    kind: 'text',
    flag: '--plan',
    value: 'plan.json',
    text: 'replay a plan (rates per block or per linear) instead of --sparsity and --allocation',
  },
  exportTo: {
    kind: 'text',
    flag: '--export',
    value: listed(EXPORTERS.keys()),
    text: `write the plan as another tool takes it. ${explained(EXPORTERS.values())}`,
    otherwise: 'the plan itself, as JSON',
  },
  criterion: {
    kind: 'text',
    flag: '--criterion',
    value: 'criterion',
    text: 'which weights of a linear are removed; layerwise help criteria lists them',
    otherwise: DEFAULTS.criterion,
  },
  pattern: {
    kind: 'text',
    flag: '--pattern',
    value: 'pattern',
    text: 'where weights compete, such as row, 2:4 or n:8; layerwise help patterns lists them',
    otherwise: 'the criterion’s own; layerwise help criteria lists them',
  },
  refit: {
    kind: 'flag',
    flag: '--refit',
    text: 'fit the kept weights again by least squares on the mask, for criteria that only choose a mask',
  },
  blocks: {
    kind: 'number',
    flag: '--blocks',
    value: 'n',
    text: 'number of whole blocks to remove: at least 1, and fewer than the model has',
  },
  method: {
    kind: 'text',
    flag: '--method',
    value: 'method',
    text: `which blocks are removed: ${[...DROP_METHODS.keys()].join(', ')}; layerwise help methods explains them`,
  },
  calibration: {
    kind: 'text',
    flag: '--calibration',
    value: TEXT,
    text: 'text whose activations are measured: .txt, .jsonl or .jsonl.gz (field "text"), .parquet (column "text"), or the training part of a data set by name (docs/guide/hub.md)',
  },
  validation: {
    kind: 'text',
    flag: '--validation',
    value: TEXT,
    text: 'text for choosing (β, or the blocks that --method perplexity or repaired removes); it is scored in every trial',
  },
  test: {
    kind: 'text',
    flag: '--test',
    value: TEXT,
    text: 'text that is scored once, at the end, for the dense model and those made from it; it chooses nothing',
  },
  calibrationSamples: {
    kind: 'number',
    flag: '--calibration-samples',
    value: 'n',
    text: 'windows of calibration text',
    otherwise: String(DEFAULTS.calibrationSamples),
  },
  calibrationOrder: {
    kind: 'text',
    flag: '--calibration-order',
    value: 'random|sequential',
    text: 'random: seeded places in the text. sequential: the first windows, for comparison with other implementations',
    otherwise: DEFAULTS.calibrationOrder,
  },
  sequenceLength: {
    kind: 'number',
    flag: '--sequence-length',
    value: 'tokens',
    text: 'tokens in a window',
    otherwise: 'the model’s maximum, at most 2048',
  },
  windowStart: {
    kind: 'text',
    flag: '--window-start',
    value: listed(WINDOW_STARTS),
    text: 'what windows begin with. bos: the tokenizer’s BOS token, then text. none: windows are contiguous pieces of the text, as in the pruning papers',
    otherwise: 'bos where the tokenizer puts BOS before a text, else none',
  },
  seed: {
    kind: 'number',
    flag: '--seed',
    value: 'n',
    text: 'seed of everything random',
    otherwise: String(DEFAULTS.seed),
  },
  maxTrials: {
    kind: 'number',
    flag: '--max-trials',
    value: 'n',
    text: 'exact trials that the search may make besides uniform',
    otherwise: String(DEFAULTS.maxTrials),
  },
  judge: {
    kind: 'text',
    flag: '--judge',
    value: listed(JUDGES),
    text: 'texts that judge the plans of a search. both: validation text and a sample of the calibration windows',
    otherwise: DEFAULTS.judge,
  },
  dense: {
    kind: 'text',
    flag: '--dense',
    value: 'checkpoint',
    text: 'the original that the model was made from (a directory, or a name on the Hub): how far the predictions on the text are from its',
  },
  greedyTokens: {
    kind: 'number',
    flag: '--greedy-tokens',
    value: 'n',
    text: 'tokens of each greedy text whose first difference from the dense model’s is measured; 0 measures none',
    otherwise: String(DEFAULTS.greedyTokens),
  },
  out: { kind: 'text', flag: '--out', value: 'path', text: 'where to write; must not exist yet' },
  resume: { kind: 'flag', flag: '--resume', text: 'continue an interrupted run of the same command' },
  pack: {
    kind: 'text',
    flag: '--pack',
    value: 'model.lw',
    text: 'also pack the sparse checkpoint into this file, as layerwise pack does; must not exist yet',
  },
  values: {
    kind: 'text',
    flag: '--values',
    value: listed(VALUES),
    text: 'how the weights of the blocks are stored. int8: a scale for each row. int4, int3, int2: a scale for each 128 columns of a row. f32: exact. Linears that the checkpoint has quantised (layerwise.scales) keep their integers, except with f32',
    otherwise: 'int8',
  },
  layout: {
    kind: 'text',
    flag: '--layout',
    value: listed(LAYOUT_CHOICES),
    text: 'how packed weights lie. auto: per linear, whatever is estimated to be quickest. tiles: sparse, all of them. dense: with their zeros. smallest: per linear, whatever takes the fewest bytes',
    otherwise: 'auto',
  },
  head: {
    kind: 'text',
    flag: '--head',
    value: listed(HEADS),
    text: 'how the embeddings and the LM head are stored',
    otherwise: 'f32 with --values f32, else int8',
  },
  ...EXPORT_OPTIONS,
  ...FRONTIER_OPTIONS,
  ...HEAL_OPTIONS,
  tokens: { kind: 'number', flag: '--tokens', value: 'n', text: 'tokens decoded in each turn', otherwise: '32' },
  promptTokens: { kind: 'number', flag: '--prompt-tokens', value: 'n', text: 'tokens of the prompt', otherwise: '256' },
  turns: {
    kind: 'number',
    flag: '--turns',
    value: 'n',
    text: 'turns of each model; the median counts',
    otherwise: '5',
  },
  prompt: {
    kind: 'text',
    flag: '--prompt',
    value: 'text',
    text: 'text to continue',
    otherwise: 'none: the text begins with the model’s BOS token',
  },
  maxTokens: {
    kind: 'number',
    flag: '--max-tokens',
    value: 'n',
    text: 'most tokens to write',
    otherwise: '200, or as many as the model has positions for',
  },
  temperature: {
    kind: 'number',
    flag: '--temperature',
    value: 'T',
    text: 'randomness of the choice of tokens; 0 always takes the likeliest',
    otherwise: '0.8',
  },
  topP: {
    kind: 'number',
    flag: '--top-p',
    value: 'p',
    text: 'draw from the fewest tokens that have this share of the probability',
    otherwise: '0.95',
  },
  topK: {
    kind: 'number',
    flag: '--top-k',
    value: 'k',
    text: 'draw from this many of the likeliest tokens',
    otherwise: 'all',
  },
  valuesInMemory: {
    kind: 'text',
    flag: '--values',
    value: listed(VALUES),
    text: 'how the weights of a checkpoint are stored in memory; a .lw file has its own',
    otherwise: 'f32',
  },
  positions: {
    kind: 'number',
    flag: '--positions',
    value: 'tokens',
    text: 'longest text, prompt and answer together',
    otherwise: 'the model’s maximum, at most 2048',
  },
  ...SERVE_OPTIONS,
  verify: { kind: 'flag', flag: '--verify', text: 'read all of a .lw file and compare every checksum' },
  text: {
    kind: 'text',
    flag: '--text',
    value: TEXT,
    text: 'text to score: .txt, .jsonl, .jsonl.gz or .parquet, or the test part of a data set by name',
  },
  push: {
    kind: 'text',
    flag: '--push',
    value: 'org/name',
    text: 'upload the output to this repository on the Hub, with a model card; the token is HF_TOKEN’s',
  },
  to: {
    kind: 'text',
    flag: '--to',
    value: 'org/name',
    text: 'the repository on the Hub; created if it does not exist',
  },
  private: {
    kind: 'flag',
    flag: '--private',
    text: 'create that repository as private; refused where it exists and is public',
  },
  tasks: {
    kind: 'text',
    flag: '--tasks',
    value: 'name,…',
    text: `zero-shot tasks to score: ${HARNESS_TASKS.join(', ')}; and tofu_…, people_… (docs/reference/tasks.md)`,
  },
  suite: {
    kind: 'text',
    flag: '--suite',
    value: listed(SUITES.keys()),
    text: `instead of --tasks, the seven of a paper and their average. ${explained(SUITES.values())}`,
  },
  data: {
    kind: 'text',
    flag: '--data',
    value: 'folder',
    text: 'folder of the tasks’ items: a file <task>.jsonl, .json or .parquet each (docs/reference/tasks.md)',
  },
  limit: {
    kind: 'number',
    flag: '--limit',
    value: 'n',
    text: 'score only the first items of each task; for mmlu, of each subject',
    otherwise: 'all',
  },
  fewshot: {
    kind: 'number',
    flag: '--fewshot',
    value: 'k',
    text: 'examples before each item, from <task>.train.jsonl (or .json, .parquet) where the folder has it, else from the other items (docs/reference/tasks.md)',
    otherwise: String(DEFAULTS.fewshot),
  },
  specialTokens: {
    kind: 'text',
    flag: '--special-tokens',
    value: listed(SPECIAL_TOKENS),
    text: 'special tokens before a request of a task. tokenizer: those the tokenizer adds to every text, as in lm-evaluation-harness. none: none, as in the papers’ fork of it',
    otherwise: 'none with --suite, else tokenizer',
  },
  linears: { kind: 'flag', flag: '--linears', text: 'list every linear, not only every block' },
  device: {
    kind: 'text',
    flag: '--device',
    value: listed(DEVICES),
    text: 'what computes; cuda needs libraries that npm does not bring (docs/lab/gpu.md), and runs no .lw file',
    otherwise: DEFAULTS.device,
  },
  decoderDevice: {
    kind: 'text',
    flag: '--device',
    value: listed(DECODER_DEVICES),
    text: 'what computes',
    otherwise: DEFAULTS.device,
  },
  threads: {
    kind: 'number',
    flag: '--threads',
    value: 'n',
    text: 'threads to compute with; the result does not depend on it',
    otherwise: 'the number of processors',
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionName = keyof typeof OPTIONS;

/** The options of every command that scores tasks, in the order of the help text. */
export const TASK_OPTIONS = [
  'tasks',
  'suite',
  'data',
  'limit',
  'fewshot',
  'specialTokens',
] as const satisfies readonly OptionName[];

/** How calibration text is cut into windows. */
export const WINDOW_OPTIONS = [
  'calibrationSamples',
  'calibrationOrder',
  'sequenceLength',
  'windowStart',
] as const satisfies readonly OptionName[];

/** The options of every command that makes a checkpoint, at the end of the help text. */
export const RUN_OPTIONS = ['seed', 'device', 'threads', 'out', 'resume'] as const satisfies readonly OptionName[];

/** Which images a model is measured on, how they are read, and of which trunk. */
export const IMAGE_SET_OPTIONS = [
  'images',
  'labels',
  'orientation',
  'scope',
  'classes',
  'templates',
] as const satisfies readonly OptionName[];

/** The options of every command that prunes, besides the target, in the order of the help text. */
export const PRUNING_OPTIONS = [
  'criterion',
  'pattern',
  'refit',
  'target',
  'targetShares',
  'calibrationPrefix',
  'hessian',
  'gradient',
  'budget',
  'unit',
  'calibration',
  ...IMAGE_SET_OPTIONS,
  'validation',
  'test',
  ...TASK_OPTIONS,
  ...WINDOW_OPTIONS,
  'maxTrials',
  'judge',
  'greedyTokens',
  ...RUN_OPTIONS,
] as const satisfies readonly OptionName[];

/** Where trials are handed out to. */
export const HAND_OUT_OPTIONS = ['workQueue', 'store', 'workers'] as const satisfies readonly OptionName[];

/** How prune packs its output. */
export const PACKING_OPTIONS = ['pack', 'values', 'layout', 'head'] as const satisfies readonly OptionName[];

type ValueOf<S extends OptionSpec> = S['kind'] extends 'number' ? number : S['kind'] extends 'flag' ? boolean : string;

/** The parsed values of some options; absent ones are undefined. */
export type Values<K extends OptionName = OptionName> = { readonly [N in K]?: ValueOf<(typeof OPTIONS)[N]> };
