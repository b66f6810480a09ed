// LAMBADA (arXiv 1606.06031) in OpenAI's rendering: everything before the last space, then the last word with that space.

import { fileNames, type Task } from './task.js';

export const lambada: Task = {
  name: 'lambada_openai',
  summary: 'the last word of a passage',
  version: 1,
  form: 'word',
  metrics: ['perplexity', 'acc'],
  source: { path: 'EleutherAI/lambada_openai', name: 'default', split: 'test' },
  files: fileNames('lambada_openai', 'test', 'lambada'),
  shots: { files: [], order: 'random' },
  own: ['text'],
  read: (fields) => {
    const text = fields.string('text');
    const space = text.lastIndexOf(' ');
    if (space < 0) fields.refuse('text', 'two or more words', text);
    return { form: 'word', text: text.slice(0, space), word: text.slice(space) };
  },
};
