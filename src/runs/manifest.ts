// Builds the record of a run. Nothing in it depends on when, where or how fast the run ran.

import { isDeepStrictEqual } from 'node:util';
import { VERSION } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { formatPattern } from '../operators/index.js';
import { type BlockNotes, sharesOf } from '../pipeline/index.js';
import {
  type Evaluation,
  type Fidelity,
  type Gains,
  type Manifest,
  type Plan,
  pairedInterval,
  type Trial,
  verdictOf,
} from '../records/index.js';
import type { Choice } from './choose.js';
import { startCommand } from './command-line.js';
import { trialEquivalents } from './cost.js';
import type { BitsReport } from './count-bits.js';
import type { LinearReport } from './count-zeros.js';
import { DEFAULTS } from './defaults.js';
import type { FinalScores } from './final-scores.js';
import type { PruneSettings } from './settings.js';
import { nameSource } from './source.js';
import { addTasks } from './task-options.js';
import type { PreparedTasks } from './tasks.js';
import { type PreparedTexts, recordsOf } from './texts.js';
import type { TimedTrial } from './trial-ledger.js';

/** Scores as a row of the record has them. */
type RecordedScores = Omit<FinalScores, 'compared'> & { readonly fidelity?: Fidelity };

export type RunFacts = {
  readonly settings: PruneSettings;
  readonly model: Model;
  readonly engine: Engine;
  readonly hashes: Readonly<Record<string, string>>;
  readonly texts: PreparedTexts;
  readonly target: number;
  readonly choice: Choice;
  /** Blocks of the source that were left out. Reports of the written checkpoint count the others. */
  readonly dropped: readonly number[];
  readonly zeros: readonly LinearReport[];
  /** Of a quantised model. */
  readonly bits: readonly BitsReport[] | undefined;
  /** The notes in the files of the chosen blocks. */
  readonly notes: readonly BlockNotes[];
  readonly denseValidation: Evaluation | null;
  readonly gains: Gains | undefined;
  /** The error that each chosen block makes by itself; empty without validation text. */
  readonly alone: readonly number[];
  readonly tasks: PreparedTasks | undefined;
  readonly finals: Readonly<Record<'dense' | 'uniform' | 'chosen', RecordedScores>>;
};

export function buildManifest(facts: RunFacts): Manifest {
  const { settings, model, engine, choice, target, zeros, tasks, finals } = facts;
  const scored = (trial: TimedTrial): Evaluation | null => (trial.validation.windows > 0 ? trial.validation : null);
  const weights = (some: readonly LinearReport[]) => some.reduce((sum, l) => sum + l.rows * l.columns, 0);
  const share = (some: readonly LinearReport[]) => some.reduce((sum, l) => sum + l.zeros, 0) / (weights(some) || 1);
  // Blocks of the source, by their numbers in the written checkpoint.
  const left = [...model.linears.keys()].filter((block) => !facts.dropped.includes(block));
  const hasExperts = model.config.mixtures.some((mixture) => mixture !== undefined);
  return {
    format: 'layerwise-run',
    version: 1,
    tool: { version: VERSION, node: process.version.replace(/\..*/, ''), engine: engine.name, device: engine.device },
    command: commandOf(settings),
    source: {
      ...nameSource(model),
      family: model.config.family,
      ...(model.trunk ? { trunk: model.trunk } : {}),
      blocks: model.config.blocks,
      ...(model.config.image?.dead ? { dead: model.config.image.dead } : {}),
      dtype: zeros[0]!.dtype,
      parameters: model.parameters,
      prunable: model.prunable,
      bytes: model.bytes,
      hashes: facts.hashes,
    },
    texts: recordsOf(facts.texts),
    ...(tasks ? { tasks: tasks.setup } : {}),
    seed: settings.seed,
    criterion: settings.criterion.name,
    ...(hasZeros(settings, choice.candidate.plan) ? { pattern: formatPattern(settings.pattern) } : {}),
    ...(settings.gradient === DEFAULTS.gradient ? {} : { gradient: settings.gradient }),
    ...(settings.hessian === DEFAULTS.hessian ? {} : { hessian: settings.hessian }),
    ...(settings.calibrationPrefix ? { calibrationPrefix: settings.calibrationPrefix } : {}),
    ...(choice.candidate.target ? { target: sharesOf(choice.candidate.target) } : {}),
    ...(facts.notes.some(({ damping }) => Object.keys(damping).length > 0)
      ? { damping: facts.notes.map(({ damping }) => damping) }
      : {}),
    ...(hasExperts && settings.criterion.needs.length > 0
      ? { unseenExperts: facts.notes.map(({ unseen }) => [...unseen]) }
      : {}),
    plan: settings.plan ?? choice.candidate.plan,
    ...(facts.dropped.length > 0 ? { dropped: [...facts.dropped] } : {}),
    sparsity: {
      target,
      realised: share(zeros),
      blocks: model.linears.map((_, block) => share(zeros.filter((linear) => left[linear.block] === block))),
      linears: Object.fromEntries(zeros.map((l) => [l.name, { weights: l.rows * l.columns, zeros: l.zeros }])),
    },
    ...(facts.bits ? { bits: bitsOf(facts.bits, model, left) } : {}),
    dense: { validation: facts.denseValidation, ...finals.dense, errors: [] },
    uniform: choice.uniform
      ? { validation: scored(choice.uniform.trial), ...finals.uniform, errors: choice.uniform.trial.errors }
      : null,
    chosen: {
      ...{ validation: scored(choice.trial), ...finals.chosen, errors: choice.trial.errors },
      ...(facts.alone.length > 0 ? { alone: [...facts.alone] } : {}),
      ...(choice.own && choice.own.trial.errors.length > 0
        ? {
            own: {
              errors: [...choice.own.trial.errors],
              samePlan: isDeepStrictEqual(choice.own.request.plan, choice.request.plan),
            },
          }
        : {}),
    },
    ...(model.config.image && !model.trunks.includes('language') ? { images: imageFacts(facts) } : {}),
    ...(settings.judge === 'divergence' && facts.texts.validation ? { judge: 'divergence' as const } : {}),
    trials: choice.entries.map(({ trial }) => withoutTime(trial)),
    ...(facts.gains ? { gains: facts.gains } : {}),
    search: searchOf(facts),
  };
}

/** The most images that a record names. */
const NAMED = 12;

function imageFacts({ model, texts, finals }: RunFacts): NonNullable<Manifest['images']> {
  const labelsOf = (which: 'validation' | 'test'): readonly number[] | undefined => {
    const content = texts[which]?.content;
    return content && 'pixels' in content && content.labels ? [...content.labels] : undefined;
  };
  const [validation, test] = [labelsOf('validation'), labelsOf('test')];
  const content = texts.test?.content;
  const [dense, chosen] = [finals.dense.test, finals.chosen.test];
  const named = content && 'pixels' in content ? content.names : undefined;
  const lost =
    test && named && dense?.ranks && chosen?.ranks
      ? test
          .map((label, place) => ({ place, name: named[place]!, label, cost: chosen.nll[place]! - dense.nll[place]! }))
          .filter(({ place }) => dense.ranks![place] === 0 && chosen.ranks![place] !== 0)
          .sort((a, b) => b.cost - a.cost || a.place - b.place)
          .slice(0, NAMED)
      : [];
  return {
    classes: [...model.config.image!.labels],
    labels: { ...(validation ? { validation: [...validation] } : {}), ...(test ? { test: [...test] } : {}) },
    lost,
  };
}

/** Whether the run makes zeros: prune does, and a plan with zeros. */
const hasZeros = ({ command, plan, criterion }: PruneSettings, chosen: Plan | undefined = plan): boolean =>
  chosen && command !== 'prune'
    ? criterion.makes.includes('zeros') && Object.values(chosen.units).some(({ zeros }) => zeros !== undefined)
    : command === 'prune';

function bitsOf(reports: readonly BitsReport[], model: Model, left: readonly number[]): Manifest['bits'] {
  const stored = (some: readonly BitsReport[]): number => some.reduce((sum, one) => sum + one.weights * one.stored, 0);
  const mean = (some: readonly BitsReport[]): number =>
    stored(some) / (some.reduce((sum, { weights }) => sum + weights, 0) || 1);
  return {
    stored: stored(reports) / model.prunable,
    blocks: model.linears.map((_, block) => mean(reports.filter((one) => left[one.block] === block))),
    linears: Object.fromEntries(reports.map(({ name, weights, bits, group }) => [name, { weights, bits, group }])),
  };
}

function withoutTime({ seconds: _, ...trial }: TimedTrial): Trial {
  return trial;
}

function searchOf({ settings, model, texts, choice, finals: { chosen, uniform } }: RunFacts): Manifest['search'] {
  if (!choice.method || !choice.uniform) return null;
  const [a, b] =
    chosen.test && uniform.test
      ? [chosen.test.nll, uniform.test.nll]
      : [choice.trial.validation.nll, choice.uniform.trial.validation.nll];
  return {
    method: choice.method,
    equivalents: trialEquivalents(model, texts, choice, settings),
    ...(choice.judged.length > 0
      ? {
          misalignments: choice.judged.map(({ hyperparameters, misalignment }) => ({
            hyperparameters: { ...hyperparameters },
            misalignment,
          })),
        }
      : {}),
    verdict: a.length < 2 ? 'tie' : verdictOf(pairedInterval(a, b)), // one window says nothing of the noise
  };
}

/**
 * The command that repeats the run. The command line parses it to the same settings (test/cli/repeat.test.ts). Options that
 * do not change the result (threads, resume, the output's name) are left out.
 */
export function commandOf(settings: PruneSettings): string {
  const line = startCommand(settings.command, settings.checkpoint);
  const { add } = line;
  const { calibration } = settings;
  /** Windowing options are included if there is text to cut or if they were given. */
  const addWindowing = (option: string, name: 'calibrationSamples' | 'calibrationOrder'): void =>
    add(option, calibration === undefined && settings[name] === DEFAULTS[name] ? undefined : settings[name]);
  const { progression } = settings;
  const bits = progression ?? settings.bits;
  if (settings.plan && !bits) line.place('plan', '<plan.json>');
  add('bits', bits?.bits);
  add('group', bits?.bits === 8 ? undefined : bits?.group);
  if (progression) add('allocation', 'progression');
  add('beta', progression?.beta);
  const { compress } = settings;
  if (compress) {
    add(compress.kind, compress.value);
    add('zeros', compress.zeros);
    add('threads', compress.threads);
    add('allow', compress.allow.join());
    add('head', compress.head);
  }
  if (!compress) add('sparsity', settings.sparsity);
  const prunes = settings.command === 'prune';
  if (prunes && !settings.plan) add('allocation', settings.policy.name);
  add('unit', settings.unit);
  line.pairs('hyperparameters', settings.values);
  if (settings.command !== 'compress') add(prunes ? 'criterion' : 'method', settings.criterion.name);
  if (settings.command !== 'compress' && hasZeros(settings)) add('pattern', formatPattern(settings.pattern));
  const usual = settings.command === 'compress' ? 'stream' : DEFAULTS.target;
  if (settings.target.kind !== usual) add('target', settings.target.kind);
  line.pairs('target-shares', settings.target.shares);
  if (settings.gradient !== DEFAULTS.gradient) add('gradient', settings.gradient);
  if (settings.hessian !== DEFAULTS.hessian) add('hessian', settings.hessian);
  if (prunes) add('budget', settings.budget);
  add('calibration', calibration);
  add('calibration-prefix', settings.calibrationPrefix);
  addWindowing('calibration-samples', 'calibrationSamples');
  addWindowing('calibration-order', 'calibrationOrder');
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  const { towers, towerBudget } = settings;
  add('scope', towers || towerBudget ? 'all' : settings.scope);
  add('tower-budget', towerBudget);
  if (towers) line.pairs('tower-sparsity', { vision: towers.vision, language: towers.language });
  add('labels', settings.labels);
  add('classes', settings.classes);
  add('templates', settings.templates);
  add('orientation', settings.orientation);
  add('validation', settings.validation);
  add('test', settings.test);
  addTasks(settings.tasks, add);
  add('max-trials', settings.maxTrials === DEFAULTS.maxTrials ? undefined : settings.maxTrials);
  // By what compress and quantise choose is not for users to say.
  add('judge', settings.judge === DEFAULTS.judge || !prunes ? undefined : settings.judge);
  add('greedy-tokens', settings.greedyTokens === DEFAULTS.greedyTokens ? undefined : settings.greedyTokens);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', compress?.gguf ? '<model>.gguf' : '<dir>');
  return line.text();
}
