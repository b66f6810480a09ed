// HellaSwag (arXiv 1905.07830): activity and context, with each ending as a continuation; marks of WikiHow are removed as
// in lm-evaluation-harness. Items that are cleaned already have `query`, `choices`, `gold`.

import { stripPython } from '../python.js';
import type { Fields } from './fields.js';
import { fileNames, type Question, type Task } from './task.js';

const clean = (text: string): string =>
  stripPython(text)
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');

/** The first character in upper case, all others in lower case. */
function capitalise(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}

function read(fields: Fields): Question {
  if (fields.has('query')) {
    const choices = fields.strings('choices');
    return { form: 'choices', text: fields.string('query'), choices, gold: fields.index('gold', choices.length) };
  }
  const context = `${fields.string('ctx_a')} ${capitalise(fields.string('ctx_b'))}`;
  const choices = fields.strings('endings').map(clean);
  const text = clean(`${fields.string('activity_label')}: ${context}`);
  return { form: 'choices', text, choices, gold: fields.index('label', choices.length) };
}

export const hellaswag: Task = {
  name: 'hellaswag',
  summary: 'which of four endings follows',
  version: 1,
  form: 'choices',
  metrics: ['acc', 'acc_norm'],
  source: { path: 'Rowan/hellaswag', split: 'validation' },
  files: fileNames('hellaswag', 'validation'),
  shots: { files: ['hellaswag.train'], order: 'random' },
  own: ['query', 'ctx_a', 'ctx_b', 'endings'],
  read,
};
