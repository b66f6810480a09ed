// BoolQ (arXiv 1905.10044) in SuperGLUE’s form: the passage begins with the article’s title, the answers are no and yes.
// The data set’s own file has the title in a separate field; both forms are read.

import type { Fields } from './fields.js';
import { fileNames, type Question, type Task } from './task.js';

function read(fields: Fields): Question {
  const title = fields.has('title') ? `${fields.string('title')} -- ` : '';
  return {
    form: 'choices',
    text: `${title}${fields.string('passage')}\nQuestion: ${fields.string('question')}?\nAnswer:`,
    choices: ['no', 'yes'],
    gold: fields.has('answer') ? Number(fields.boolean('answer')) : fields.index('label', 2),
  };
}

export const boolq: Task = {
  name: 'boolq',
  summary: 'yes or no, from a passage',
  version: 2,
  form: 'choices',
  metrics: ['acc'],
  source: { path: 'aps/super_glue', name: 'boolq', split: 'validation' },
  files: fileNames('boolq', 'validation'),
  shots: { files: ['boolq.train'], order: 'random' },
  own: ['passage', 'question'],
  read,
};
