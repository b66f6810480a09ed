// OpenBookQA (arXiv 1809.02789): the stem as it is, no fact from the book, each choice's text a continuation.

import { fileNames, type Task } from './task.js';

export const openbookqa: Task = {
  name: 'openbookqa',
  summary: 'elementary science, the stem continued',
  version: 1,
  form: 'choices',
  metrics: ['acc', 'acc_norm'],
  source: { path: 'allenai/openbookqa', name: 'main', split: 'test' },
  files: fileNames('openbookqa', 'test', 'openbookqa.validation'),
  shots: { files: ['openbookqa.train'], order: 'random' },
  own: ['question_stem'],
  read: (fields) => ({
    form: 'choices',
    text: fields.string('question_stem'),
    choices: fields.strings('choices.text'),
    gold: fields.position('answerKey', fields.strings('choices.label')),
  }),
};
