// ARC (arXiv 1803.05457): the question alone is the prompt, each choice's text a continuation.

import type { Fields } from './fields.js';
import { fileNames, type Question, type Task } from './task.js';

const read = (fields: Fields): Question => ({
  form: 'choices',
  text: `Question: ${fields.string('question')}\nAnswer:`,
  choices: fields.strings('choices.text'),
  gold: fields.position('answerKey', fields.strings('choices.label')),
});

const arc = (name: string, dataset: string): Task => ({
  name,
  summary: 'science questions of school tests',
  version: 1,
  form: 'choices',
  metrics: ['acc', 'acc_norm'],
  source: { path: 'allenai/ai2_arc', name: dataset, split: 'test' },
  files: fileNames(name, 'test', `${name}.validation`),
  shots: { files: [`${name}.train`], order: 'random' },
  own: ['question'],
  read,
});

export const arcEasy = arc('arc_easy', 'ARC-Easy');
export const arcChallenge = arc('arc_challenge', 'ARC-Challenge');
