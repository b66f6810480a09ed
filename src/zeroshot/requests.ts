// From a question to the requests that lm-evaluation-harness makes of it: pairs of a context and a continuation, whose
// log-probability after the context is wanted. Few-shot examples come before the question, each with its answer and an
// empty line.

import type { Document } from './tasks/load.js';
import type { Question } from './tasks/task.js';

export type LikelihoodRequest = { readonly context: string; readonly continuation: string };

const BETWEEN = ' ';
const AFTER_EXAMPLE = '\n\n';

/** The requests of an item, one per choice, after the few-shot examples. */
export function requestsOf(
  { question, introduction }: Document,
  examples: readonly Document[] = [],
): LikelihoodRequest[] {
  const before = introduction + examples.map((example) => writeExample(example.question)).join('');
  switch (question.form) {
    case 'choices':
      return question.choices.map((choice) => ({
        context: before + question.text,
        continuation: BETWEEN + choice,
      }));
    case 'contexts':
      return question.texts.map((text) => ({ context: before + text, continuation: BETWEEN + question.rest }));
    case 'word':
      return [{ context: before + question.text, continuation: question.word }];
    case 'answers':
      return choicesOf(question).map((choice) => ({
        context: before + question.text,
        continuation: BETWEEN + choice,
      }));
    default:
      return question satisfies never;
  }
}

/** The choices as acc_norm measures them; of `answers` the answer, its paraphrase where there is one, and the wrong ones. */
export function choicesOf(question: Question): readonly string[] {
  switch (question.form) {
    case 'choices':
      return question.choices;
    case 'contexts':
      return question.texts;
    case 'word':
      return [question.word];
    case 'answers': {
      const { answer, paraphrase, perturbed } = question;
      return [answer, ...(paraphrase === undefined ? [] : [paraphrase]), ...perturbed];
    }
    default:
      return question satisfies never;
  }
}

/** What the harness calls the target: the right choice’s number, or the text that should follow. */
export function targetOf(question: Question): string {
  switch (question.form) {
    case 'choices':
      return String(question.gold);
    case 'contexts':
      return question.rest;
    case 'word':
      return question.word;
    case 'answers':
      return question.answer;
    default:
      return question satisfies never;
  }
}

function writeExample(question: Question): string {
  switch (question.form) {
    case 'choices':
      return question.text + BETWEEN + question.choices[question.gold]! + AFTER_EXAMPLE;
    case 'contexts':
      return question.texts[question.gold]! + BETWEEN + question.rest + AFTER_EXAMPLE;
    case 'word':
      return question.text + BETWEEN + question.word + AFTER_EXAMPLE; // the word includes its leading space, as published
    case 'answers':
      return question.text + BETWEEN + question.answer + AFTER_EXAMPLE;
    default:
      return question satisfies never;
  }
}
