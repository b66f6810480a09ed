// Items listed in one document: our own JSON lines, LLaVA's conversations, VQA's questions and annotations, ScienceQA's problems.
// Images are files below a folder, which is the document's own unless another is named.

import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { fileError, OptionError, ResourceError } from '../../base/index.js';
import { isObject, type Json, listOf, parseJson, placeOf, readFields, textOf } from './fields.js';
import { type Exchange, type ImageSource, invalidSet, type Listing, type NamedItem } from './set.js';

export type DocumentOptions = {
  /** Where images are. Defaults to the document's folder. */
  readonly root?: string;
  /** VQA's annotations, with the answers. */
  readonly annotations?: string;
  /** Of ScienceQA: train, val, test. Defaults to all. */
  readonly split?: string;
};

/** The largest document: just under the longest string. */
const MAX_DOCUMENT = 500_000_000;

/** A document as text. @throws ResourceError E_RESOURCE_IMAGES, E_RESOURCE_…; CheckpointError E_IMAGE_SET */
export async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_DOCUMENT) {
      throw new ResourceError(
        'E_RESOURCE_IMAGES',
        `${path}: expected a document of at most ${MAX_DOCUMENT} bytes, got ${size}. Use a part of it, as JSON lines.`,
        { file: path, size },
      );
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) throw invalidSet(path, 'expected UTF-8. Convert the file.', {}, error);
    throw fileError(error, path);
  }
}

const imageAt = (root: string, name: string): ImageSource => ({
  kind: 'file',
  path: isAbsolute(name) ? name : join(root, name),
});

/** {"image": …, "question": …, "answer": …} in every line. */
export function readLines(text: string, path: string, { root = dirname(path) }: DocumentOptions): Listing {
  const items: NamedItem[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const place = `${path}: line ${index + 1}`;
    const json = parseJson(line, place);
    if (!isObject(json)) throw invalidSet(place, 'expected a JSON object.');
    const name = json.image === undefined || json.image === null ? undefined : textOf(json.image, 'image', place);
    const fields = readFields(json, place);
    if (name === undefined && fields.question === undefined)
      throw invalidSet(place, 'expected an "image" or a "question".');
    items.push({
      ...fields,
      name: name ?? `line ${index + 1}`,
      image: name === undefined ? undefined : imageAt(root, name),
    });
  }
  return { layout: 'lines', items };
}

/** One document: which of the known ones it is shows in its keys. */
export async function readJsonDocument(json: unknown, path: string, options: DocumentOptions): Promise<Listing> {
  if (Array.isArray(json)) return readConversations(json, path, options);
  if (isObject(json) && Array.isArray(json.questions)) return readVqa(json, path, options);
  if (isObject(json) && Object.values(json).every((one) => isObject(one) && 'choices' in one)) {
    return readProblems(json, path, options);
  }
  throw invalidSet(
    path,
    'expected conversations (a list), VQA questions ({"questions": […]}) or ScienceQA problems ({"1": {"choices": …}}). Use JSON lines for other data.',
  );
}

const IMAGE_MARK = /\s*<image>\s*/g;

/** LLaVA: every answer is an item; what came before it is its history. */
function readConversations(json: readonly unknown[], path: string, { root = dirname(path) }: DocumentOptions): Listing {
  const items: NamedItem[] = [];
  for (const [index, one] of json.entries()) {
    const place = `${path}: item ${index}`;
    if (!isObject(one)) throw invalidSet(place, 'expected an object with "conversations".');
    const name = one.image === undefined || one.image === null ? undefined : textOf(one.image, 'image', place);
    const turns = listOf(one.conversations, 'conversations', place);
    const history: Exchange[] = [];
    for (let at = 0; at < turns.length; at += 2) {
      const exchange = {
        question: turnOf(turns[at], 'human', `${place}, turn ${at}`).replaceAll(IMAGE_MARK, '\n').trim(),
        answer: turnOf(turns[at + 1], 'gpt', `${place}, turn ${at + 1}`),
      };
      items.push({
        name: name ?? `item ${index}`,
        image: name === undefined ? undefined : imageAt(root, name),
        question: exchange.question,
        answers: [exchange.answer],
        ...(history.length > 0 ? { history: [...history] } : {}),
      });
      history.push(exchange);
    }
  }
  return { layout: 'llava', items };
}

function turnOf(turn: unknown, from: 'human' | 'gpt', place: string): string {
  if (isObject(turn) && turn.from === from) return textOf(turn.value, 'value', place);
  throw invalidSet(
    place,
    `expected a turn of "${from}", got ${JSON.stringify(isObject(turn) ? turn.from : turn) ?? 'nothing'}.`,
  );
}

async function readVqa(json: Json, path: string, options: DocumentOptions): Promise<Listing> {
  const { root = dirname(path), annotations: annotationPath } = options;
  if (annotationPath === undefined) {
    throw new OptionError(
      'E_OPTION_ANNOTATIONS',
      `${path}: expected the file of its answers beside VQA questions; name it with annotations.`,
      {
        option: 'annotations',
      },
    );
  }
  const document = parseJson(await readText(annotationPath), annotationPath);
  const answers = new Map<unknown, readonly string[]>();
  const annotations = isObject(document) ? document.annotations : undefined;
  for (const [index, one] of listOf(annotations, 'annotations', annotationPath).entries()) {
    const place = `${annotationPath}: annotation ${index}`;
    if (!isObject(one)) throw invalidSet(place, 'expected an object with "answers".');
    const given = listOf(one.answers, 'answers', place).map((answer) =>
      textOf(isObject(answer) ? answer.answer : undefined, 'answer', place),
    );
    answers.set(one.question_id, given);
  }
  let nameOf: ((id: number) => string) | undefined;
  const items = listOf(json.questions, 'questions', path).map((one, index): NamedItem => {
    const place = `${path}: question ${index}`;
    if (!isObject(one)) throw invalidSet(place, 'expected an object with "question".');
    const given = answers.get(one.question_id);
    if (!given)
      throw invalidSet(
        place,
        `expected answers of question_id ${JSON.stringify(one.question_id)} in ${annotationPath}, found none.`,
      );
    const id = one.image_id;
    if (typeof id !== 'number' || !Number.isInteger(id))
      throw invalidSet(place, `expected a whole number in "image_id", got ${JSON.stringify(id)}.`);
    nameOf ??= nameCoco(root, id, json.data_subtype);
    const name = nameOf(id);
    return { name, image: imageAt(root, name), question: textOf(one.question, 'question', place), answers: given };
  });
  return { layout: 'vqa', items };
}

/** COCO's names: with the split before the number, as until 2015, or without. The first image decides. */
function nameCoco(root: string, first: number, split: unknown): (id: number) => string {
  const digits = (id: number): string => String(id).padStart(12, '0');
  const forms: readonly ((id: number) => string)[] = [
    (id) => `COCO_${split}_${digits(id)}.jpg`,
    (id) => `${digits(id)}.jpg`,
    (id) => `${id}.jpg`,
  ];
  const form = forms.find((one) => existsSync(join(root, one(first))));
  if (form) return form;
  throw invalidSet(
    root,
    `expected ${forms.map((one) => one(first)).join(', or ')}; found none of them. Name the folder of the images.`,
  );
}

function readProblems(json: Json, path: string, { root = dirname(path), split }: DocumentOptions): Listing {
  const items: NamedItem[] = [];
  for (const [id, problem] of Object.entries(json) as [string, Json][]) {
    if (split !== undefined && problem.split !== split) continue;
    const place = `${path}: problem ${id}`;
    const choices = listOf(problem.choices, 'choices', place).map((one) => textOf(one, 'choices', place));
    const correct = placeOf(problem.answer, choices, 'answer', place);
    const hint = problem.hint === undefined || problem.hint === null ? '' : textOf(problem.hint, 'hint', place);
    const file =
      problem.image === undefined || problem.image === null ? undefined : textOf(problem.image, 'image', place);
    items.push({
      name: file === undefined ? id : `${id}/${file}`,
      image: file === undefined ? undefined : problemImage(root, id, file, problem.split),
      question: textOf(problem.question, 'question', place),
      choices,
      correct,
      answers: [choices[correct]!],
      ...(hint === '' ? {} : { context: hint }),
    });
  }
  return { layout: 'scienceqa', items };
}

function problemImage(root: string, id: string, file: string, split: unknown): ImageSource {
  const below = join(root, String(split), id, file);
  return { kind: 'file', path: existsSync(below) ? below : join(root, id, file) };
}
