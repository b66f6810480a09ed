// Every option of every command, declared once: the parser, the help texts, the pages under docs/commands and the types
// of the parsed values all come from here. A key is the name the library's functions give the same thing. This file only
// parses; the jobs check values.

import { OptionError } from '../base/index.js';
import { DEVICES } from '../engine/index.js';
import { DATA_SETS } from '../hub/index.js';
import { HEADS, LAYOUT_CHOICES, VALUES } from '../packed/index.js';
import { COUNTINGS, DROP_METHODS } from '../plan/index.js';
import { DEFAULTS, SPECIAL_TOKENS } from '../runs/index.js';
import { SUITES, TASKS } from '../zeroshot/index.js';

export type OptionSpec = {
  readonly kind: 'number' | 'text' | 'flag';
  readonly flag: string;
  /** What stands for the value in help texts. */
  readonly value?: string;
  readonly text: string;
  /** What happens where the option is left out, in words. */
  readonly otherwise?: string;
};

const listed = (names: Iterable<string>): string => [...names].join('|');
const explained = (things: Iterable<{ readonly name: string; readonly summary: string }>): string =>
  [...things].map(({ name, summary }) => `${name}: ${summary}`).join('; ');

/** What stands for a text: a data set's name is one on the Hub, where no file has it. */
const TEXT = `file|${listed(Object.keys(DATA_SETS))}`;

export const OPTIONS = {
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
    text: 'targets to compare at, each between 0 and 1, with commas between',
  },
  allocations: {
    kind: 'text',
    flag: '--allocations',
    value: 'name,…',
    text: 'policies to compare; layerwise help policies lists them',
    otherwise: 'all',
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
    text: "fix ATP's common difference of sparsity between neighbouring blocks; short for --hyperparameters beta=β",
    otherwise: 'searched on validation text',
  },
  hyperparameters: {
    kind: 'text',
    flag: '--hyperparameters',
    value: 'name=number,…',
    text: 'numbers of the policy, such as line=0.2,gain=0.5, around which the others are searched; layerwise help hyperparameters lists them',
    otherwise: 'as published, or searched where there is no published value',
  },
  budget: {
    kind: 'text',
    flag: '--budget',
    value: listed(COUNTINGS),
    text: 'exact: the parameter-weighted mean is S to one weight. published: as the papers’ code counts, ⌊columns × s⌋ per row and the unweighted mean over blocks',
    otherwise: DEFAULTS.budget,
  },
  profile: {
    kind: 'text',
    flag: '--profile',
    value: 'profile.json',
    text: 'allocate by what layerwise profile measured of this checkpoint; calibration options given too must be those it was measured with',
  },
  measures: {
    kind: 'text',
    flag: '--measures',
    value: 'name,…',
    text: 'what to measure beside influence and angles, or none; layerwise help measures lists them',
    otherwise: 'all but gradient, which takes passes of its own',
  },
  plan: {
    kind: 'text',
    flag: '--plan',
    value: 'plan.json',
    text: 'replay a plan (rates per block or per linear) instead of --sparsity and --allocation',
  },
  criterion: {
    kind: 'text',
    flag: '--criterion',
    value: 'criterion',
    text: 'which weights of a linear go; layerwise help criteria lists them',
    otherwise: DEFAULTS.criterion,
  },
  pattern: {
    kind: 'text',
    flag: '--pattern',
    value: 'pattern',
    text: 'where weights compete, such as row, 2:4 or n:8; layerwise help patterns lists them',
    otherwise: 'the criterion’s own; layerwise help criteria lists them',
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
    text: `which blocks go: ${[...DROP_METHODS.keys()].join(', ')}; layerwise help methods explains them`,
  },
  calibration: {
    kind: 'text',
    flag: '--calibration',
    value: TEXT,
    text: 'text whose activations are measured: .txt, .jsonl or .jsonl.gz (field "text"), .parquet (column "text"), or the training part of a data set by name (docs/hub.md)',
  },
  validation: {
    kind: 'text',
    flag: '--validation',
    value: TEXT,
    text: 'text that chooses (β, or the blocks that --method perplexity removes) and is scored in every trial',
  },
  test: {
    kind: 'text',
    flag: '--test',
    value: TEXT,
    text: 'text that is scored once, at the end, for the dense model and those made of it; it chooses nothing',
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
    text: 'random: seeded places in the text. sequential: the first windows, so that other implementations can be compared',
    otherwise: DEFAULTS.calibrationOrder,
  },
  sequenceLength: {
    kind: 'number',
    flag: '--sequence-length',
    value: 'tokens',
    text: 'tokens in a window',
    otherwise: 'the model’s maximum, at most 2048',
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
  out: { kind: 'text', flag: '--out', value: 'path', text: 'where to write; must not exist yet' },
  resume: { kind: 'flag', flag: '--resume', text: 'continue an interrupted run of the same command' },
  pack: {
    kind: 'text',
    flag: '--pack',
    value: 'model.lw',
    text: 'pack the sparse checkpoint into this file too, as layerwise pack does; must not exist yet',
  },
  values: {
    kind: 'text',
    flag: '--values',
    value: listed(VALUES),
    text: 'what the weights of the blocks are packed as. int8: a scale for each row. int4: a scale for each 128 columns of a row. f32: exact',
    otherwise: 'int8',
  },
  layout: {
    kind: 'text',
    flag: '--layout',
    value: listed(LAYOUT_CHOICES),
    text: 'how packed weights lie. auto: per linear, whatever is estimated to be quickest. tiles: sparse, all of them. dense: with their zeros',
    otherwise: 'auto',
  },
  head: {
    kind: 'text',
    flag: '--head',
    value: listed(HEADS),
    text: 'what the embeddings and the LM head are packed as',
    otherwise: 'f32 with --values f32, else int8',
  },
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
    text: 'tokens to write at most',
    otherwise: '200, or what the model has positions for',
  },
  temperature: {
    kind: 'number',
    flag: '--temperature',
    value: 'T',
    text: 'how far to stray from the likeliest token; 0 never does',
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
    text: 'draw from so many of the likeliest tokens',
    otherwise: 'all',
  },
  valuesInMemory: {
    kind: 'text',
    flag: '--values',
    value: listed(VALUES),
    text: 'what the weights of a checkpoint become in memory; a .lw file has its own',
    otherwise: 'f32',
  },
  positions: {
    kind: 'number',
    flag: '--positions',
    value: 'tokens',
    text: 'longest text, prompt and answer together',
    otherwise: 'the model’s maximum, at most 2048',
  },
  port: { kind: 'number', flag: '--port', value: 'n', text: 'port to listen on; 0 is any free one', otherwise: '8080' },
  host: {
    kind: 'text',
    flag: '--host',
    value: 'address',
    text: 'address to listen on; 0.0.0.0 is every one of this machine',
    otherwise: '127.0.0.1: this machine alone',
  },
  name: {
    kind: 'text',
    flag: '--name',
    value: 'name',
    text: 'the model’s name for clients',
    otherwise: 'the last part of its path',
  },
  apiKey: {
    kind: 'text',
    flag: '--api-key',
    value: 'key',
    text: 'key that clients have to bring; the environment variable LAYERWISE_API_KEY does the same unseen',
    otherwise: 'none is needed',
  },
  sequences: {
    kind: 'number',
    flag: '--sequences',
    value: 'n',
    text: 'texts written at once; each has memory of its own',
    otherwise: '4',
  },
  queue: {
    kind: 'number',
    flag: '--queue',
    value: 'n',
    text: 'texts that may wait; more are refused with 429',
    otherwise: '64',
  },
  maxBody: {
    kind: 'number',
    flag: '--max-body',
    value: 'MB',
    text: 'size of a request’s body at most',
    otherwise: '4',
  },
  timeout: {
    kind: 'number',
    flag: '--timeout',
    value: 'seconds',
    text: 'time an answer may take, waiting included',
    otherwise: '600',
  },
  grace: {
    kind: 'number',
    flag: '--grace',
    value: 'seconds',
    text: 'time that answers have to finish when the server is told to stop',
    otherwise: '10',
  },
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
  to: { kind: 'text', flag: '--to', value: 'org/name', text: 'the repository on the Hub; made where there is none' },
  private: {
    kind: 'flag',
    flag: '--private',
    text: 'make that repository a private one; refused where it exists and is public',
  },
  tasks: {
    kind: 'text',
    flag: '--tasks',
    value: 'name,…',
    text: `zero-shot tasks to score: ${[...TASKS.keys()].join(', ')}`,
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
    text: 'folder of the tasks’ items: a file <task>.jsonl, .json or .parquet each (docs/tasks.md)',
  },
  limit: {
    kind: 'number',
    flag: '--limit',
    value: 'n',
    text: 'score only the first items of each task; of mmlu those of each subject',
    otherwise: 'all',
  },
  fewshot: {
    kind: 'number',
    flag: '--fewshot',
    value: 'k',
    text: 'examples before each item, from <task>.train.jsonl (or .json, .parquet) where the folder has it, else from the other items (docs/tasks.md)',
    otherwise: String(DEFAULTS.fewshot),
  },
  specialTokens: {
    kind: 'text',
    flag: '--special-tokens',
    value: listed(SPECIAL_TOKENS),
    text: 'what stands before a request of a task. tokenizer: what the tokenizer adds to every text, as in lm-evaluation-harness. none: nothing, as in the papers’ fork of it',
    otherwise: 'none with --suite, else tokenizer',
  },
  linears: { kind: 'flag', flag: '--linears', text: 'list every linear, not only every block' },
  device: { kind: 'text', flag: '--device', value: listed(DEVICES), text: 'what computes', otherwise: DEFAULTS.device },
  threads: {
    kind: 'number',
    flag: '--threads',
    value: 'n',
    text: 'threads to compute with; the result does not depend on it',
    otherwise: 'the number of processors',
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionName = keyof typeof OPTIONS;

/** What every command that scores tasks takes, in the order of the help text. */
export const TASK_OPTIONS = [
  'tasks',
  'suite',
  'data',
  'limit',
  'fewshot',
  'specialTokens',
] as const satisfies readonly OptionName[];

/** What every command that prunes takes beside what it prunes to, in the order of the help text. */
export const PRUNING_OPTIONS = [
  'criterion',
  'pattern',
  'budget',
  'calibration',
  'validation',
  'test',
  ...TASK_OPTIONS,
  'calibrationSamples',
  'calibrationOrder',
  'sequenceLength',
  'maxTrials',
  'seed',
  'device',
  'threads',
  'out',
  'resume',
] as const satisfies readonly OptionName[];

/** Whether and how prune packs what it wrote. */
export const PACKING_OPTIONS = ['pack', 'values', 'layout', 'head'] as const satisfies readonly OptionName[];

type ValueOf<S extends OptionSpec> = S['kind'] extends 'number' ? number : S['kind'] extends 'flag' ? boolean : string;

/** The parsed values of some options; those that were not given are absent. */
export type Values<K extends OptionName = OptionName> = { readonly [N in K]?: ValueOf<(typeof OPTIONS)[N]> };

/** `name=number,name=number` as an object. @throws OptionError E_OPTION_HYPERPARAMETERS */
export function parseNumbers(text: string): Readonly<Record<string, number>> {
  const pairs = text.split(',').map((pair) => /^\s*([A-Za-z]\w*)\s*=\s*(\S+)\s*$/.exec(pair));
  const values = pairs.map((pair) => (pair ? ([pair[1]!, Number(pair[2])] as const) : undefined));
  if (values.every((value) => value !== undefined && !Number.isNaN(value[1]))) {
    return Object.fromEntries(values as (readonly [string, number])[]);
  }
  throw new OptionError(
    'E_OPTION_HYPERPARAMETERS',
    `--hyperparameters: expected name=number pairs with commas between, such as line=0.2,gain=0.5, got ${JSON.stringify(text)}.`,
    { option: 'hyperparameters', got: text },
  );
}

const splitNames = (names: string): readonly string[] => names.split(',').map((name) => name.trim());

/** `boolq,piqa` as a list; nothing where the option was not given. */
export const parseTasks = (names: string | undefined): { readonly tasks?: readonly string[] } =>
  names === undefined ? {} : { tasks: splitNames(names) };

/** `outliers,alpha` as a list, `none` as an empty one; nothing where the option was not given. */
export const parseMeasures = (names: string | undefined): { readonly measures?: readonly string[] } =>
  names === undefined ? {} : { measures: names === 'none' ? [] : splitNames(names) };

/** `0.5,0.7` as numbers. @throws OptionError E_OPTION_… */
export const parseList = (flag: string, text: string): readonly number[] =>
  text.split(',').map((one) => parseNumber(flag, one));

/** A number as the shell gives it. @throws OptionError E_OPTION_… for anything else, with the option's name */
export function parseNumber(flag: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isNaN(value)) return value;
  const name = flag.replace(/^--/, '');
  throw new OptionError(
    `E_OPTION_${name.toUpperCase().replaceAll('-', '_')}`,
    `${flag}: expected a number, got ${JSON.stringify(text)}.`,
    { option: name, got: text },
  );
}
