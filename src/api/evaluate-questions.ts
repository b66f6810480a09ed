// Scores a model on questions about images: the loss of the answers, the share of their tokens and of whole answers that the model finds
// likeliest, which of several choices it finds likeliest, and how far it is from the dense model with --dense.

import { OptionError, withResources } from '../base/index.js';
import { calibrationOf } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import {
  compareModels,
  scoreChoices,
  scoreSamples,
  summarise,
  summariseFidelity,
  writeAnswers,
} from '../evaluate/index.js';
import { matchesExactly, scoreVqa } from '../images/index.js';
import { blameWeights, type Model } from '../model/index.js';
import type { Evaluation, Fidelity, ManifestText } from '../records/index.js';
import {
  type ImageSettings,
  openEngine,
  openQuestions,
  openSource,
  padQuestions,
  preparePrompts,
  prepareQuestions,
  type Questioning,
  type ReadQuestions,
  type RunSettings,
  readQuestions,
  writeQuestion,
} from '../runs/index.js';
import { type Activations, checkDialogues, type Dialogues, scoringOf } from '../stream/index.js';
import { runDense } from './dense-model.js';

export type AnswerScores = {
  /** In nats per token of an answer, by question. */
  readonly evaluation: Evaluation;
  /** The share of the answers' tokens that are the likeliest after those before them. */
  readonly tokenAccuracy: number;
  /** The share of questions whose whole answer is what the model writes greedily. */
  readonly exactMatch: number;
  /** Undefined where no question has choices: how many have, and the share whose right choice is the likeliest of them. */
  readonly choices: { readonly questions: number; readonly accuracy: number } | undefined;
  /** Answers that the model wrote; undefined where none were asked for. */
  readonly written: WrittenScores | undefined;
};

export type WrittenScores = {
  /** The most tokens of an answer, and how many answers came to their end within these. */
  readonly tokens: number;
  readonly ended: number;
  /** The share of questions whose written answer is one of the given ones, compared as VQA compares. */
  readonly exact: number;
  /** The mean VQA accuracy over the questions with several answers, and how many these are; undefined without any. */
  readonly vqa: { readonly questions: number; readonly accuracy: number } | undefined;
  /** By question: its name in the set, and what was written. */
  readonly answers: readonly { readonly name: string; readonly text: string }[];
};

export type QuestionScores = {
  readonly model: AnswerScores;
  readonly dense: AnswerScores | undefined;
  readonly source: ManifestText;
  readonly fidelity: Fidelity | undefined;
  readonly calibration: ManifestText | undefined;
};

type Asked = Pick<ImageSettings, 'orientation'> & {
  readonly qa: string;
  readonly dense: string | undefined;
  readonly sequenceLength: number | undefined;
  /** The most tokens of a written answer; 0 for none. */
  readonly answerTokens: number;
};

/** @throws as `prune`, for its checkpoint and questions; OptionError E_OPTION_QA, E_OPTION_DENSE */
export async function evaluateQuestions(
  checkpoint: string,
  { qa, dense: original, sequenceLength, answerTokens, orientation }: Asked,
  settings: RunSettings,
): Promise<QuestionScores> {
  const { onProgress } = settings;
  const open = async (path: string): Promise<Model> => {
    const model = await openSource(path, onProgress, { images: true });
    if (model.trunk === 'language') return model;
    throw new OptionError(
      'E_OPTION_QA',
      `--qa: ${path} is a ${model.config.family} model, which answers no questions about images. ${model.config.image ? 'Use --images.' : 'Use --text.'}`,
      { option: 'qa', family: model.config.family },
    );
  };
  const model = await open(checkpoint);
  const dense = original === undefined ? undefined : await open(original);
  const questioning = await openQuestions(model, onProgress);
  const set = await readQuestions(questioning, { path: qa, order: 'all', seed: 0, orientation, onProgress });
  const [prepared] = prepareQuestions(questioning, [set], sequenceLength);
  const { content, record } = prepared!;
  await checkDialogues(model, content);
  if (dense) await requireSameQuestions(dense, set, { ...settings, content, qa, orientation });
  const chosen = choicesOf(questioning, set, content.length);
  const prompts = answerTokens > 0 ? preparePrompts(questioning, set, answerTokens) : undefined;
  if (prompts) requirePlaces(model, prompts, answerTokens);
  return await withResources(async (own) => {
    const engine = await own(openEngine(model, settings));
    const stream = await runDense(own, engine, model, content, 'evaluating', settings);
    const before = dense && (await runDense(own, engine, dense, content, 'the dense model', settings));
    const scoreOf = async (of: Model, last: Activations): Promise<AnswerScores> => {
      const { accuracy, whole, losses } = await scoreChoices(engine, of, last, content);
      return {
        evaluation: summarise(losses, scoringOf(content)),
        tokenAccuracy: accuracy,
        exactMatch: whole / losses.length,
        choices: chosen && (await scoreChosen(engine, of, chosen, settings)),
        written: prompts && (await scoreWritten(engine, of, prompts, { questioning, set, answerTokens, onProgress })),
      };
    };
    const compared =
      dense && before
        ? await compareModels(engine, { model, stream }, { model: dense, stream: before }, { content })
        : undefined;
    return {
      model: await scoreOf(model, stream),
      dense: dense && before ? await scoreOf(dense, before) : undefined,
      source: record,
      fidelity: compared && { text: 'test' as const, ...summariseFidelity(compared), greedy: null },
      calibration: await calibrationOf(model.checkpoint.dir),
    };
  }).catch((error) => blameWeights(model, error));
}

/** @throws OptionError E_OPTION_DENSE where the two would not read the same tokens and pixels */
async function requireSameQuestions(
  dense: Model,
  { written }: ReadQuestions,
  asked: RunSettings & Pick<Asked, 'qa' | 'orientation'> & { readonly content: Dialogues },
): Promise<void> {
  const { qa: path, orientation, onProgress, content } = asked;
  const questioning = await openQuestions(dense, onProgress);
  const other = await readQuestions(questioning, { path, order: 'all', seed: 0, orientation, onProgress });
  const pixels = other.images?.pixels ?? [];
  const same =
    other.written.every(({ tokens }, at) =>
      Buffer.from(tokens.buffer).equals(Buffer.from(written[at]!.tokens.buffer)),
    ) && pixels.every((one, at) => Buffer.from(one).equals(Buffer.from(content.images.pixels[at] as Uint8Array)));
  if (same) return;
  throw new OptionError(
    'E_OPTION_DENSE',
    '--dense: expected a checkpoint whose tokenizer, template and preprocessing give the same tokens and pixels, got others. Pass the original that the model was made from.',
    { option: 'dense' },
  );
}

/** @throws OptionError E_OPTION_ANSWER_TOKENS where prompts and answers are longer than the model reads */
function requirePlaces({ config: { maxPositions } }: Model, { length }: Dialogues, most: number): void {
  if (length <= maxPositions) return;
  throw new OptionError(
    'E_OPTION_ANSWER_TOKENS',
    `--answer-tokens: the longest question and ${most} tokens of an answer are ${length} tokens; the model reads at most ${maxPositions}. Give at most ${Math.max(0, most - (length - maxPositions))}.`,
    { option: 'answer-tokens', got: most, maxPositions },
  );
}

async function scoreWritten(
  engine: Engine,
  model: Model,
  prompts: Dialogues,
  { questioning, set, answerTokens, onProgress }: WritingContext,
): Promise<WrittenScores> {
  const { tokenizer, eos } = questioning.language;
  const written = await writeAnswers(engine, model, prompts, { most: answerTokens, ends: eos, onProgress });
  const texts = written.map(({ tokens }) => tokenizer.decode([...tokens], false).trim());
  const asked = set.items.map(({ answers = [] }, at) => ({ answers, text: texts[at]! }));
  const several = asked.filter(({ answers }) => answers.length > 1);
  return {
    tokens: answerTokens,
    ended: written.filter(({ ended }) => ended).length,
    exact: asked.filter(({ answers, text }) => matchesExactly(text, answers)).length / asked.length,
    vqa:
      several.length === 0
        ? undefined
        : {
            questions: several.length,
            accuracy: several.reduce((sum, { answers, text }) => sum + scoreVqa(text, answers), 0) / several.length,
          },
    answers: set.items.map(({ name }, at) => ({ name, text: texts[at]! })),
  };
}

type WritingContext = Pick<RunSettings, 'onProgress'> & {
  readonly questioning: Questioning;
  readonly set: ReadQuestions;
  readonly answerTokens: number;
};

type Chosen = {
  readonly content: Dialogues;
  /** By question: the sample of its first choice, how many it has, and which is right. */
  readonly questions: readonly { readonly first: number; readonly count: number; readonly correct: number }[];
};

/** Every choice of every question that has some as an answer. */
function choicesOf(questioning: Questioning, set: ReadQuestions, length: number): Chosen | undefined {
  const { items, grids, images } = set;
  const written: ReturnType<typeof writeQuestion>[] = [];
  const pixels: Uint8Array[] = [];
  const questions: Chosen['questions'][number][] = [];
  let image = 0;
  for (const [at, item] of items.entries()) {
    const { images: read } = set.written[at]!;
    const own = images?.pixels.slice(image, image + read) ?? [];
    image += read;
    const { choices, correct } = item;
    if (!choices || correct === undefined) continue;
    questions.push({ first: written.length, count: choices.length, correct });
    for (const choice of choices) {
      written.push(writeQuestion(questioning, item, grids[at], choice));
      pixels.push(...own);
    }
  }
  if (questions.length === 0) return undefined;
  const longest = Math.max(length, ...written.map(({ tokens }) => tokens.length));
  return { content: padQuestions(questioning, written, pixels, longest), questions };
}

/** The choice whose tokens, with the one that ends the answer, are the likeliest together; of equals the first. */
async function scoreChosen(
  engine: Engine,
  model: Model,
  { content, questions }: Chosen,
  settings: RunSettings,
): Promise<NonNullable<AnswerScores['choices']>> {
  const means = await withResources(async (own) =>
    scoreSamples(engine, model, await runDense(own, engine, model, content, 'choices', settings), content),
  );
  const sums = means.map((mean, at) => mean * content.answers[at]!.length);
  const right = questions.filter(({ first, count, correct }) => {
    const own = sums.slice(first, first + count);
    return own.indexOf(Math.min(...own)) === correct;
  });
  return { questions: questions.length, accuracy: right.length / questions.length };
}
