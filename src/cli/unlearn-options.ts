// The options of unlearn alone; options.ts has all the others.

import { UNLEARN_DEFAULTS, UNLEARN_METHODS } from '../api/index.js';

const TEXT = 'a file (.txt, .jsonl, .jsonl.gz, .parquet) or the training part of a data set by name';

export const UNLEARN_OPTIONS = {
  forget: { kind: 'text', flag: '--forget', value: 'file', text: `text whose knowledge is to be suppressed: ${TEXT}` },
  retain: { kind: 'text', flag: '--retain', value: 'file', text: `text that shows what is to stay: ${TEXT}` },
  layer: {
    kind: 'number',
    flag: '--layer',
    value: 'l',
    text: 'the block whose output is steered, 2 or more; down of blocks l − 2, l − 1 and l changes',
    otherwise: 'searched at three depths',
  },
  unlearnMethod: {
    kind: 'text',
    flag: '--method',
    value: UNLEARN_METHODS.join('|'),
    text: 'adaptive-rmu: the goal is β times as long as the residual there. rmu: it has the length --coefficient',
    otherwise: UNLEARN_DEFAULTS.method,
  },
  unlearnBeta: {
    kind: 'number',
    flag: '--beta',
    value: 'β',
    text: 'the length of the goal, in mean lengths of the residual',
    otherwise: 'searched among 2, 3, 5 and 10',
  },
  coefficient: {
    kind: 'number',
    flag: '--coefficient',
    value: 'c',
    text: 'the length of the goal, with --method rmu',
    otherwise: String(UNLEARN_DEFAULTS.coefficient),
  },
  unlearnAlpha: {
    kind: 'number',
    flag: '--alpha',
    value: 'α',
    text: 'the weight of the retain text in the loss',
    otherwise: String(UNLEARN_DEFAULTS.alpha),
  },
  unlearnSteps: {
    kind: 'number',
    flag: '--steps',
    value: 'n',
    text: 'training steps of each trial',
    otherwise: String(UNLEARN_DEFAULTS.steps),
  },
  unlearnRate: {
    kind: 'number',
    flag: '--rate',
    value: 'η',
    text: 'the highest learning rate of AdamW',
    otherwise: String(UNLEARN_DEFAULTS.rate),
  },
  unlearnBatch: {
    kind: 'number',
    flag: '--batch',
    value: 'tokens',
    text: 'tokens of each text in a step, about',
    otherwise: String(UNLEARN_DEFAULTS.batch),
  },
  tolerance: {
    kind: 'number',
    flag: '--tolerance',
    value: 'nats',
    text: 'how much the loss on the retain text may rise in the search',
    otherwise: String(UNLEARN_DEFAULTS.tolerance),
  },
  official: {
    kind: 'flag',
    flag: '--official',
    text: 'draw the direction of the goal from U(0, 1), as the published code does, instead of a Gaussian',
  },
} as const;
