// Questions that tell whether knowledge was suppressed: TOFU (arXiv 2401.06121), whose authors are made up, and questions
// about real people and their neighbours (arXiv 2410.08109). Each has an answer and wrong ones of the same form. They are not
// in lm-evaluation-harness; the metrics are TOFU’s.

import { fileNames, type Task } from './task.js';

const unlearning = (name: string, summary: string, path: string, ...files: readonly string[]): Task => ({
  name,
  summary,
  version: 1,
  form: 'answers',
  metrics: ['acc', 'probability', 'truth_ratio'],
  source: { path, split: 'test' },
  files: fileNames(name, 'test', ...files),
  shots: { files: [`${name}.train`], order: 'random' },
  own: ['question'],
  read: (fields) => {
    const answer = fields.string('answer');
    return {
      form: 'answers',
      text: `Question: ${fields.string('question')}\nAnswer:`,
      answer,
      paraphrase: fields.has('paraphrased_answer') ? fields.string('paraphrased_answer') : undefined,
      perturbed: fields.strings('perturbed_answer'),
    };
  },
});

const tofu = (name: string, summary: string): Task =>
  unlearning(`tofu_${name}`, summary, 'locuslab/TOFU', `${name}_perturbed`);

/** In the order of their papers. */
export const UNLEARNING: readonly Task[] = [
  tofu('forget01', 'made-up authors to forget, 1 % of them'),
  tofu('forget05', '5 % of them'),
  tofu('forget10', '10 % of them'),
  tofu('retain', 'made-up authors to keep'),
  tofu('real_authors', 'real authors'),
  tofu('world_facts', 'facts of the world'),
  unlearning('people_forget', 'real people to forget', 'sail-sg/closer-look-LLM-unlearning', 'forget_perturbed'),
  unlearning(
    'people_neighbor',
    'their neighbours, to keep',
    'sail-sg/closer-look-LLM-unlearning',
    'neighbor_perturbed',
  ),
];
