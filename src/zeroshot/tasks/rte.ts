// RTE as GLUE has it (arXiv 1804.07461): label 0 is entailment, so True.

import { fileNames, type Task } from './task.js';

export const rte: Task = {
  name: 'rte',
  summary: 'whether a sentence follows from a text',
  version: 1,
  form: 'choices',
  metrics: ['acc'],
  source: { path: 'nyu-mll/glue', name: 'rte', split: 'validation' },
  files: fileNames('rte', 'validation'),
  shots: { files: ['rte.train'], order: 'random' },
  own: ['sentence1', 'sentence2'],
  read: (fields) => ({
    form: 'choices',
    text: `${fields.string('sentence1')}\nQuestion: ${fields.string('sentence2')} True or False?\nAnswer:`,
    choices: ['True', 'False'],
    gold: fields.index('label', 2),
  }),
};
