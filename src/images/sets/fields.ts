// The fields of an item in a JSON document: of our own lines, and of a .json member of a tar.

import { invalidSet, type NamedItem } from './set.js';

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses JSON. @throws CheckpointError E_IMAGE_SET with the place */
export function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidSet(place, `expected JSON; ${(cause as Error).message}.`, {}, cause);
  }
}

/** A field that is a string. @throws CheckpointError E_IMAGE_SET */
export function textOf(value: unknown, field: string, place: string): string {
  if (typeof value === 'string') return value;
  throw invalidSet(place, `expected text in ${JSON.stringify(field)}, got ${JSON.stringify(value) ?? 'nothing'}.`);
}

export function listOf(value: unknown, field: string, place: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalidSet(place, `expected a list in ${JSON.stringify(field)}, got ${JSON.stringify(value) ?? 'nothing'}.`);
}

const textsOf = (value: unknown, field: string, place: string): readonly string[] =>
  listOf(value, field, place).map((one) => textOf(one, field, place));

/** A place in a list of choices. */
export function placeOf(value: unknown, choices: readonly string[], field: string, place: string): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < choices.length) return value as number;
  throw invalidSet(
    place,
    `expected a whole number below ${choices.length} in ${JSON.stringify(field)}, got ${JSON.stringify(value) ?? 'nothing'}.`,
  );
}

/**
 * `question`, `answer` or `answers`, `choices`, `context`, `caption` or `captions`, `label`. With choices the answer is one of them, or its place.
 * @throws CheckpointError E_IMAGE_SET
 */
export function readFields(json: Json, place: string): Omit<NamedItem, 'name' | 'image'> {
  const has = (field: string): boolean => json[field] !== undefined && json[field] !== null;
  if (has('answer') && has('answers')) throw invalidSet(place, 'expected "answer" or "answers", got both.');
  const choices = has('choices') ? textsOf(json.choices, 'choices', place) : undefined;
  const answers = has('answers') ? textsOf(json.answers, 'answers', place) : undefined;
  if (choices && answers) throw invalidSet(place, 'expected one "answer" with "choices", got "answers".');
  if ((has('answer') || answers || choices) && !has('question'))
    throw invalidSet(place, 'expected a "question" with its answer.');
  const correct = choices && has('answer') ? readCorrect(json.answer, choices, place) : undefined;
  const answer = has('answer') && correct === undefined ? [textOf(json.answer, 'answer', place)] : undefined;
  if (has('caption') && has('captions')) throw invalidSet(place, 'expected "caption" or "captions", got both.');
  const captions = has('captions') ? textsOf(json.captions, 'captions', place) : undefined;
  const caption = has('caption') ? [textOf(json.caption, 'caption', place)] : undefined;
  const { label } = json;
  if (has('label') && typeof label !== 'string' && !Number.isInteger(label)) {
    throw invalidSet(place, `expected a class or a whole number in "label", got ${JSON.stringify(label)}.`);
  }
  return {
    ...(has('label') ? { className: String(label) } : {}),
    ...(has('question') ? { question: textOf(json.question, 'question', place) } : {}),
    ...(has('context') ? { context: textOf(json.context, 'context', place) } : {}),
    ...(caption || captions ? { captions: (caption ?? captions)! } : {}),
    ...(choices ? { choices } : {}),
    ...(correct === undefined ? {} : { correct, answers: [choices![correct]!] }),
    ...(answer || answers ? { answers: (answer ?? answers)! } : {}),
  };
}

function readCorrect(answer: unknown, choices: readonly string[], place: string): number {
  if (typeof answer !== 'string') return placeOf(answer, choices, 'answer', place);
  const correct = choices.indexOf(answer);
  if (correct >= 0) return correct;
  throw invalidSet(place, `expected one of the choices in "answer", got ${JSON.stringify(answer)}.`);
}
