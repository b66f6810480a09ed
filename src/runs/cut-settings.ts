// The options of cut, completed and checked before any weight is read; and what depends on the model's headers: the parameters that
// go, out of which halves of blocks, by which operator.

import { OptionError, UnsupportedError } from '../base/index.js';
import {
  CUT_UNITS,
  type CutUnits,
  cutHalves,
  type Model,
  readersOf,
  requireHeadDim,
  requirePlainMlp,
} from '../model/index.js';
import { cutOperator, IMPORTANCES, type Importance, parsePattern, REPAIRS, type Repair } from '../operators/index.js';
import {
  type AllocationPolicy,
  findPolicy,
  type Half,
  halfFacts,
  hasSearch,
  mostRemoved,
  smallestSteps,
  validateValues,
} from '../plan/index.js';
import { conflict, oneOf, parseRange, refuseMissing, refuseValue, wholeNumber } from './checks.js';
import { DEFAULTS, JUDGES } from './defaults.js';
import { checkImages, withCalibrationImages, withSampleCount } from './image-options.js';
import {
  givenValues,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  type PlanOptions,
  type PruneSettings,
  type RunOptions,
  type WindowingOptions,
} from './settings.js';
import { normaliseTarget, type Shares } from './stream-shares.js';

export type CutOptions = RunOptions &
  WindowingOptions &
  Pick<PlanOptions, 'beta' | 'hyperparameters'> & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** The share of all parameters of the checkpoint, embeddings included, that is left: 0 < P < 1. */
    readonly parameters: number;
    /** `mlp` (channels of MLPs and experts), `heads` (with their keys), or `all`. Defaults to `mlp`. */
    readonly units?: string;
    /** `equal`: all blocks get one width, and the output loads everywhere. `free`: an allocation decides. Defaults to `equal`. */
    readonly widths?: string;
    /** With free widths: blocks that keep theirs, such as `0..3,28..29`. Defaults to none. */
    readonly spare?: string;
    /** Widths of MLPs are multiples of this. Defaults to 32. */
    readonly multiple?: number;
    /** `obs`, `wanda-sp`, `flap` or `taylor`. Defaults to `obs`. */
    readonly importance?: string;
    /** With free widths: `uniform`, `atp`, `log`, `layerwise` or `flap`. Defaults to `atp`. */
    readonly allocation?: string;
    /** `least-squares`, `bias` or `none`. Defaults to `least-squares`. */
    readonly repair?: string;
    /** `stream` or `own` (docs/guide/cut.md). Defaults to `stream` with least squares, else to `own`. */
    readonly target?: string;
    /** The shares α and γ of `target: 'stream'`, 0 to 1; searched on validation text where absent, else ½. */
    readonly targetShares?: Partial<Shares>;
    /** Text files (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`; a set of images or of questions about them. */
    readonly calibration?: string;
    readonly validation?: string;
    readonly test?: string;
    /** Exact trials the search may make besides uniform. Defaults to 6. */
    readonly maxTrials?: number;
    /** The texts that judge the plans of a search: `validation`, or `both` that and calibration text. Defaults to `validation`. */
    readonly judge?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export const CUT_WIDTHS = ['equal', 'free'] as const;
export const CUT_ALLOCATIONS = ['uniform', 'atp', 'log', 'layerwise', 'flap'] as const;
export type CutAllocation = (typeof CUT_ALLOCATIONS)[number];

export const CUT_DEFAULTS = {
  units: 'mlp',
  widths: 'equal',
  multiple: 32,
  importance: 'obs',
  allocation: 'atp',
  repair: 'least-squares',
} as const;

/** Settings of the run, without what depends on the model. */
type Base = Omit<PruneSettings, 'criterion' | 'sparsity'>;

export type CutSettings = Base & {
  readonly command: 'cut';
  readonly parameters: number;
  readonly units: CutUnits;
  readonly equal: boolean;
  readonly multiple: number;
  /** Blocks that are not cut, ascending. */
  readonly spare: readonly number[];
  readonly importance: Importance;
  readonly allocation: CutAllocation;
  readonly repair: Repair;
};

/** Completes the options and checks all that needs no file. @throws OptionError E_OPTION_… */
export function normaliseCut(given: CutOptions): CutSettings {
  const options = withCalibrationImages(given);
  const { parameters, calibration } = options;
  if (!(parameters > 0 && parameters < 1)) {
    refuseValue('parameters', 'the share of all parameters that is left, between 0 and 1, such as 0.8', parameters);
  }
  if (calibration === undefined)
    refuseMissing(
      'calibration',
      'a text file, or images for a model that reads these: what to cut is measured on them',
    );
  const equal = oneOf('widths', options.widths ?? CUT_DEFAULTS.widths, CUT_WIDTHS) === 'equal';
  const usual = equal ? 'uniform' : CUT_DEFAULTS.allocation;
  const allocation = oneOf('allocation', options.allocation ?? usual, CUT_ALLOCATIONS);
  if (equal && allocation !== 'uniform') {
    conflict('allocation', 'widths', 'with equal widths there is nothing to allocate; use --widths free');
  }
  const spare = parseSpare(options.spare);
  if (equal && spare.length > 0) {
    conflict('spare', 'widths', 'with equal widths all blocks get one; use --widths free');
  }
  const importance = oneOf('importance', options.importance ?? CUT_DEFAULTS.importance, IMPORTANCES);
  const repair = oneOf('repair', options.repair ?? CUT_DEFAULTS.repair, REPAIRS);
  const solves = repair === 'least-squares';
  if (options.target === 'stream' && !solves) {
    conflict('target', 'repair', `following the dense stream is a least-squares repair, and --repair is ${repair}`);
  }
  const policy = policyOf(allocation);
  const values = givenValues(options);
  const searches = hasSearch(policy, values);
  if (searches && options.validation === undefined) {
    throw new OptionError(
      'E_OPTION_VALIDATION',
      `--validation: expected a text file, because the allocation ${allocation} is searched on validation text. Pass one, or use --allocation uniform.`,
      { option: 'validation', policy: allocation },
    );
  }
  return {
    ...normaliseRun(options),
    command: 'cut',
    ...{ parameters, units: oneOf('units', options.units ?? CUT_DEFAULTS.units, CUT_UNITS), equal, importance, repair },
    multiple: wholeNumber('multiple', options.multiple ?? CUT_DEFAULTS.multiple, 1, 1 << 20),
    ...{ allocation, spare },
    // Sensitivities are measured of halves (choose-widths.ts).
    policy: { ...policy, needs: [] },
    values,
    bits: undefined,
    checkpoint: options.checkpoint,
    out: options.out,
    budget: 'exact',
    plan: undefined,
    searches,
    aligns: false,
    pattern: parsePattern('row'),
    target: normaliseTarget(
      {
        target: options.target ?? (solves ? 'stream' : 'own'),
        ...(options.targetShares ? { targetShares: options.targetShares } : {}),
      },
      cutOperator({ importance, repair, readers: new Map() }),
    ),
    gradient: DEFAULTS.gradient,
    hessian: DEFAULTS.hessian,
    calibration,
    validation: options.validation,
    test: options.test,
    tasks: undefined,
    ...normaliseWindowing(options),
    maxTrials: wholeNumber('max-trials', options.maxTrials ?? DEFAULTS.maxTrials, 1, 1000),
    judge: oneOf('judge', options.judge ?? DEFAULTS.judge, JUDGES),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
    push: undefined,
    queue: undefined,
  };
}

/** `0..3,28..29`, ascending. @throws OptionError E_OPTION_SPARE */
function parseSpare(text: string | undefined): readonly number[] {
  const blocks = (text?.split(',') ?? []).flatMap((part) => {
    const range = parseRange(part.trim());
    if (!range || range.last >= 1e6)
      return refuseValue('spare', 'blocks and ranges of blocks, such as 0..3,28..29', text);
    return Array.from({ length: range.last - range.first + 1 }, (_, i) => range.first + i);
  });
  return [...new Set(blocks)].sort((a, b) => a - b);
}

/** FLAP's rates come from scores, all at once; there is no number to search. */
export const policyOf = (allocation: CutAllocation): AllocationPolicy =>
  findPolicy(allocation === 'flap' ? 'uniform' : allocation);

/** A cut of one model. */
export type Cut = {
  readonly settings: PruneSettings & CutSettings;
  readonly halves: readonly Half[];
  /** Parameters that are to go. */
  readonly remove: number;
  /** By reader, the scores of its slices: filled before the first trial, where the importance is measured of the whole model. */
  readonly scores: Map<string, Float64Array>;
};

/**
 * What is cut out of a model, and how much.
 * @throws OptionError E_OPTION_PARAMETERS where it cannot be reached; UnsupportedError E_UNSUPPORTED_CUT
 */
export async function planCut(given: CutSettings, model: Model): Promise<Cut> {
  const settings = withSampleCount(given, model);
  const { units, equal, multiple, spare, importance, allocation, repair, parameters } = settings;
  const { config } = model;
  if (spare.length === config.blocks || (spare.at(-1) ?? 0) >= config.blocks) {
    refuseValue('spare', `some of blocks 0 to ${config.blocks - 1}, and not all of them`, spare.join(','));
  }
  const refuse = (why: string): never => {
    throw new UnsupportedError('E_UNSUPPORTED_CUT', why, { family: config.family });
  };
  refuseUncut(settings, model);
  checkImages(settings, model);
  if (units !== 'mlp' && equal) requireHeadDim(model);
  if (units !== 'heads' && equal) requirePlainMlp(model, multiple);
  if (equal && config.uneven) {
    refuse('--widths equal: the blocks of this checkpoint have different widths already. Use --widths free.');
  }
  const halves = cutHalves(model, units, multiple).filter(({ block }) => !spare.includes(block));
  const mixed = config.mixtures.some((mixture) => mixture !== undefined);
  if (mixed && allocation === 'flap')
    refuse('--allocation flap: experts have no common scale. Use another allocation.');
  if (mixed && units === 'all' && config.mixtures.includes(undefined)) {
    refuse('--units all: some blocks of this model have experts and some have none. Use --units mlp or heads.');
  }
  if (units === 'all' && config.architecture === 'gemma') {
    refuse(
      '--units all: a norm stands between what a gemma block computes and the residual, so errors of heads and of channels are not in one unit. Use --units mlp or heads, one after the other.',
    );
  }
  const readers = await readersOf(model);
  if (repair === 'bias' && !halves.every((half) => half.readers.every((name) => readers.get(name)!.bias))) {
    refuse(`--repair bias: a ${config.family} block has no biases to hold a mean. Use --repair least-squares.`);
  }
  const scores = new Map<string, Float64Array>();
  const remove = (1 - parameters) * model.parameters;
  const all = halves.reduce((sum, half) => sum + half.slices * half.parameters, 0);
  const most = mostRemoved(halves);
  const smallest = smallestSteps(halves, equal).first;
  // Shares are given in a few digits.
  if (remove > most + 1 || remove < smallest / 2) {
    const [low, high] = [most, Math.min(smallest, most)].map((gone) => 1 - gone / model.parameters) as [number, number];
    const held = { mlp: 'the MLPs', heads: 'attention', all: 'attention and the MLPs' }[units];
    const next = remove > most ? 'Use more units, or drop blocks.' : 'Use a smaller --multiple, or --widths free.';
    throw new OptionError(
      'E_OPTION_PARAMETERS',
      `--parameters: expected the share of all ${model.parameters} parameters that is left, from ${upTo4(low)} to ${high.toFixed(4)} with --units ${units} --widths ${equal ? 'equal' : 'free'} --multiple ${multiple}, got ${parameters}. Of this model ${held} hold ${(all / model.parameters).toFixed(4)}. ${next}`,
      { option: 'parameters', got: parameters, low, high },
    );
  }
  const complete = {
    ...settings,
    sparsity: remove / all,
    criterion: cutOperator({ importance, repair, readers, scores }),
  };
  validateValues(settings.policy, settings.values, complete.sparsity, halfFacts(config.blocks, halves));
  return { settings: complete, halves, remove, scores };
}

/** @throws UnsupportedError E_UNSUPPORTED_CUT for what is not cut of models that read images */
function refuseUncut({ importance }: CutSettings, { config }: Model): void {
  const { family, image, architecture } = config;
  const refuse = (why: string): never => {
    throw new UnsupportedError('E_UNSUPPORTED_CUT', why, { family });
  };
  if (architecture === 'convnext') {
    refuse(
      image!.spec.response
        ? `The channels of a ${family} block are not cut: its response norm divides by the mean over all channels, so that taking some out changes the others.`
        : `The channels of a ${family} block are not cut: every loader makes them four times the width of the stage, and no key of config.json says otherwise.`,
    );
  }
  if (image && image.dead > 0) {
    refuse(
      `--scope vision: ${image.dead} of the blocks of this trunk ${image.dead === 1 ? 'is' : 'are'} read by nothing (vision_feature_layer) and would stay as wide as before, which no config.json can say. Use --scope language.`,
    );
  }
  if (importance === 'taylor' && image)
    refuse('--importance taylor: gradients are those of the loss of text. Use obs, wanda-sp or flap for images.');
}

/** Four digits, not below the number itself. */
const upTo4 = (share: number): string => (Math.ceil(share * 1e4) / 1e4).toFixed(4);
