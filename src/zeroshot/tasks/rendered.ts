// Items that are already rendered: they have the context as the model reads it, instead of the data set’s own fields.

import type { Fields } from './fields.js';
import type { Form, Question } from './task.js';

/**
 * Whether an item is already rendered. One field is not enough to tell: HellaSwag has its own `ctx` beside other fields. So
 * an item with any field that only the data set has counts as an item of the data set.
 */
export const isRendered = (fields: Fields, own: readonly string[]): boolean =>
  (fields.has('ctx') || fields.has('ctxs')) && !own.some((name) => fields.has(name));

export function readRendered(form: Form, fields: Fields): Question {
  switch (form) {
    case 'choices': {
      const choices = fields.strings('choices');
      return { form, text: fields.string('ctx'), choices, gold: fields.index('gold', choices.length) };
    }
    case 'contexts': {
      const texts = fields.strings('ctxs');
      return { form, texts, rest: fields.string('continuation'), gold: fields.index('gold', texts.length) };
    }
    case 'word':
      return { form, text: fields.string('ctx'), word: fields.string('continuation') };
    case 'answers': {
      const [answer, ...perturbed] = fields.strings('choices');
      return { form, text: fields.string('ctx'), answer: answer!, paraphrase: undefined, perturbed };
    }
    default:
      return form satisfies never;
  }
}
