// PIQA (arXiv 1911.11641): the goal is the question, the two solutions are the continuations, with their spaces.

import { fileNames, type Task } from './task.js';

export const piqa: Task = {
  name: 'piqa',
  summary: 'which of two ways to a goal works',
  version: 1,
  form: 'choices',
  metrics: ['acc', 'acc_norm'],
  source: { path: 'baber/piqa', split: 'validation' },
  files: fileNames('piqa', 'validation'),
  shots: { files: ['piqa.train'], order: 'random' },
  own: ['goal', 'sol1', 'sol2'],
  read: (fields) => ({
    form: 'choices',
    text: `Question: ${fields.string('goal')}\nAnswer:`,
    choices: [fields.string('sol1'), fields.string('sol2')],
    gold: fields.index('label', 2),
  }),
};
