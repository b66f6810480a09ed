// MMLU (arXiv 2009.03300): 57 subjects, each a task of lm-evaluation-harness. The answer letters are the continuations;
// few-shot examples are the first items of the subject’s dev split.

import { stripPython } from '../python.js';
import { fileNames, type Task } from './task.js';

const LETTERS = ['A', 'B', 'C', 'D'];

export const mmlu: Task = {
  name: 'mmlu',
  summary: 'examinations in 57 subjects',
  version: 1,
  form: 'choices',
  metrics: ['acc'],
  source: { path: 'cais/mmlu', split: 'test' },
  files: fileNames('mmlu', 'test', 'mmlu_test'),
  shots: { files: ['mmlu.dev', 'mmlu_dev'], order: 'first' },
  groupVersion: 2,
  partOf: (fields) => fields.string('subject'),
  introduce: (subject) =>
    `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
  own: ['question'],
  read: (fields) => {
    const choices = fields.strings('choices');
    if (choices.length !== LETTERS.length) fields.refuse('choices', 'four strings', choices);
    const listed = choices.map((choice, i) => `${LETTERS[i]}. ${choice}`).join('\n');
    return {
      form: 'choices',
      text: `${stripPython(fields.string('question'))}\n${listed}\nAnswer:`,
      choices: LETTERS,
      gold: fields.index('answer', LETTERS.length),
    };
  },
};
