// Turns texts into windows of tokens and checks them against the model's vocabulary, before any weight is read.

import { cacheFolder, type OnProgress } from '../base/index.js';
import type { TextRole } from '../hub/index.js';
import type { Model } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import { type Content, checkDialogues, type Dialogues } from '../stream/index.js';
import {
  checkVocabulary,
  loadTokenizer,
  makeWindows,
  startTokenOf,
  type Tokenizer,
  tokenizeCorpus,
  type WindowStart,
  type Windows,
} from '../text/index.js';
import { type CaptionSet, prepareCaptions } from './captions.js';
import { conflict } from './checks.js';
import { answersQuestions, type ImageSettings, requireMainTrunk, usualSamples } from './image-options.js';
import { prepareImageSet, refuseShared } from './images.js';
import { kindOfSets } from './question-files.js';
import { openQuestions, prepareQuestions, type ReadQuestions, readQuestions } from './questions.js';
import { type PruneSettings, type RunSettings, windowLength } from './settings.js';
import { readText } from './source.js';

export type WindowRequest = {
  /** A path, or the name of a data set. */
  readonly path: string;
  readonly role: TextRole;
  readonly length: number;
  readonly order: 'all' | 'random' | 'sequential';
  readonly count?: number;
  /** What windows begin with. Undefined: as the tokenizer's texts do. */
  readonly start: WindowStart | undefined;
  readonly seed: number;
  readonly onProgress: OnProgress;
};

export type Prepared<C extends Content = Content> = { readonly content: C; readonly record: ManifestText };
export type PreparedText = Prepared<Windows>;

/** Reads, tokenises and cuts one text. @throws as `readText`; CheckpointError E_TEXT_…, OptionError E_OPTION_TEXT_…, ResourceError */
export async function prepareText(
  model: { readonly config: { readonly vocabulary: number } },
  tokenizer: Tokenizer,
  request: WindowRequest,
): Promise<PreparedText> {
  const { path, role, length, order, count, seed, onProgress } = request;
  const start = startTokenOf(tokenizer, request.start);
  const { corpus, name } = await readText(path, role, onProgress);
  // Where each window has its own start, the text has none: its special tokens would stand in the first and the last alone.
  const tokens = await tokenizeCorpus(tokenizer, corpus, {
    cacheDir: cacheFolder('tokens'),
    specialTokens: start === undefined,
  });
  const windows = makeWindows(tokens, { length, order, start, seed, ...(count === undefined ? {} : { count }) });
  checkVocabulary(windows, model.config.vocabulary);
  const record = {
    name,
    hash: corpus.hash,
    tokens: tokens.length,
    windows: windows.windows.length,
    length,
    order,
    bos: start ?? null,
  };
  return { content: windows, record };
}

export type PreparedTexts<C extends Content = Content> = {
  readonly calibration: Prepared<C> | undefined;
  readonly validation: Prepared<C> | undefined;
  readonly test: Prepared<C> | undefined;
};

/** The texts of a run as records have them. */
export const recordsOf = ({ calibration, validation, test }: PreparedTexts) => ({
  calibration: calibration?.record ?? null,
  validation: validation?.record ?? null,
  test: test?.record ?? null,
});

export type TextSettings = Pick<
  PruneSettings,
  | 'calibration'
  | 'validation'
  | 'test'
  | 'calibrationSamples'
  | 'calibrationOrder'
  | 'sequenceLength'
  | 'windowStart'
  | 'seed'
  | 'onProgress'
> &
  Partial<ImageSettings & RunSettings>;

/** Reads all samples of a run: texts, or sets of images for a model that reads these. @throws as `prepareText`, `prepareImageSet` */
export async function prepareSamples(settings: TextSettings, model: Model): Promise<PreparedTexts> {
  if (answersQuestions(model) && (await kindOfSets(settings, model)) === 'questions')
    return await prepareQuestionSets(settings, model);
  if (model.config.embeds && !model.config.image) return await prepareCaptionSets(settings, model);
  if (!model.config.image) return await prepareTexts(settings, model);
  const { calibration, validation, test, seed, onProgress, labels, orientation, classes, templates } = settings;
  const shared = { seed, onProgress, labels, orientation, classes, templates };
  const whole = (path: string | undefined) =>
    path === undefined ? undefined : prepareImageSet(model, { ...shared, path, order: 'all' });
  const drawn = { order: settings.calibrationOrder, count: settings.calibrationSamples ?? usualSamples(model) };
  const sets = {
    calibration:
      calibration === undefined ? undefined : await prepareImageSet(model, { ...shared, path: calibration, ...drawn }),
    validation: await whole(validation),
    test: await whole(test),
  };
  if (sets.test) refuseShared(sets.test.content, [sets.calibration?.content, sets.validation?.content], onProgress);
  return sets;
}

/** Reads all captions of a run for a text trunk. @throws as `prepareCaptions` */
async function prepareCaptionSets(settings: TextSettings, model: Model): Promise<PreparedTexts> {
  const { seed, orientation, onProgress, device = 'cpu', threads = 1 } = settings;
  const roles = (['calibration', 'validation', 'test'] as const).filter((role) => settings[role] !== undefined);
  if (roles.length === 0) return { calibration: undefined, validation: undefined, test: undefined };
  const sets = roles.map((option): CaptionSet => {
    const path = settings[option]!;
    if (option !== 'calibration') return { option, path, order: 'all' };
    const count = settings.calibrationSamples ?? usualSamples(model);
    return { option, path, order: settings.calibrationOrder, count };
  });
  const prepared = await prepareCaptions(model, sets, { seed, orientation, onProgress, device, threads });
  const of = (role: (typeof roles)[number]): Prepared | undefined => prepared[roles.indexOf(role)];
  return { calibration: of('calibration'), validation: of('validation'), test: of('test') };
}

/** Reads all questions of a run, of one length. @throws as `openQuestions`, `readQuestions`, `prepareQuestions` */
async function prepareQuestionSets(settings: TextSettings, model: Model): Promise<PreparedTexts<Dialogues>> {
  const { seed, orientation, onProgress, windowStart, sequenceLength } = settings;
  if (windowStart !== undefined)
    conflict('window-start', 'calibration', 'how a question begins is for the checkpoint’s chat template to say');
  const questioning = await openQuestions(model, onProgress);
  const roles = (['calibration', 'validation', 'test'] as const).filter((role) => settings[role] !== undefined);
  const sets: ReadQuestions[] = [];
  for (const role of roles) {
    const drawn =
      role === 'calibration'
        ? { order: settings.calibrationOrder, count: settings.calibrationSamples ?? usualSamples(model) }
        : ({ order: 'all' } as const);
    sets.push(await readQuestions(questioning, { path: settings[role]!, ...drawn, seed, orientation, onProgress }));
  }
  const prepared = prepareQuestions(questioning, sets, sequenceLength);
  const of = (role: (typeof roles)[number]): Prepared<Dialogues> | undefined => prepared[roles.indexOf(role)];
  const [calibration, validation, test] = [of('calibration'), of('validation'), of('test')];
  for (const one of prepared) await checkDialogues(model, one.content);
  if (test) refuseShared(test.content, [calibration?.content, validation?.content], onProgress);
  return { calibration, validation, test };
}

/** Reads and cuts all texts of a run. @throws as `prepareText` */
export async function prepareTexts(settings: TextSettings, model: Model): Promise<PreparedTexts<Windows>> {
  const { calibration, validation, test, windowStart: start, seed, onProgress } = settings;
  if (!calibration && !validation && !test) return { calibration: undefined, validation: undefined, test: undefined };
  requireMainTrunk(settings, model);
  onProgress({ kind: 'stage', stage: 'reading texts' });
  const length = windowLength(model, settings.sequenceLength);
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  const whole = (path: string | undefined, role: TextRole) =>
    path === undefined
      ? undefined
      : prepareText(model, tokenizer, { path, role, length, order: 'all', start, seed, onProgress });
  return {
    calibration:
      calibration === undefined
        ? undefined
        : await prepareText(model, tokenizer, {
            path: calibration,
            role: 'calibration',
            length,
            order: settings.calibrationOrder,
            count: settings.calibrationSamples ?? usualSamples(model),
            start,
            seed,
            onProgress,
          }),
    validation: await whole(validation, 'validation'),
    test: await whole(test, 'test'),
  };
}
