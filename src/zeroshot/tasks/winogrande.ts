// WinoGrande (arXiv 1907.10641), partially scored: each option fills the blank of a context, and the text after the blank
// is the continuation whose log-probability decides.

import { stripPython } from '../python.js';
import type { Fields } from './fields.js';
import { fileNames, type Question, type Task } from './task.js';

function read(fields: Fields): Question {
  const sentence = fields.string('sentence');
  const blank = sentence.indexOf('_');
  if (blank < 0) fields.refuse('sentence', 'a sentence with a blank, _', sentence);
  const before = sentence.slice(0, blank);
  return {
    form: 'contexts',
    texts: [before + fields.string('option1'), before + fields.string('option2')],
    rest: stripPython(sentence.slice(blank + 1)),
    gold: fields.position('answer', ['1', '2']),
  };
}

export const winogrande: Task = {
  name: 'winogrande',
  summary: 'whom a pronoun means',
  version: 1,
  form: 'contexts',
  metrics: ['acc'],
  source: { path: 'allenai/winogrande', name: 'winogrande_xl', split: 'validation' },
  files: fileNames('winogrande', 'validation', 'winogrande_xl', 'winogrande_xl.validation'),
  shots: { files: ['winogrande.train', 'winogrande_xl.train'], order: 'random' },
  own: ['sentence', 'option1', 'option2'],
  read,
};
