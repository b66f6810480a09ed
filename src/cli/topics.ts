// What `layerwise help <topic>` lists: the names that an option takes, one per line. In the option’s own help text they
// would be a thousand characters; docs/reference/commands/help.md has them as tables.

import { CRITERIA, PATTERNS, QUANTISERS } from '../operators/index.js';
import { DROP_METHODS, EXPERT_METHODS, GROW_METHODS, POLICIES } from '../plan/index.js';
import { PROFILE_MEASURES } from '../runs/index.js';
import { QVLM } from './quantise-options.js';

export type TopicRow = { readonly name: string; readonly summary: string };
export type Topic = {
  readonly name: string;
  /** The option that takes the names, and what they are. */
  readonly flag: string;
  readonly text: string;
  readonly rows: readonly TopicRow[];
};

const row = ({ name, summary }: TopicRow): TopicRow => ({ name, summary });

/** `m: …; 5 by default`. */
const hyperparameters = [...POLICIES.values()].flatMap((policy) =>
  policy.hyperparameters.map(({ name, text, fallback, choices }) => {
    const values = choices ? `, one of ${choices.join(', ')}` : '';
    const otherwise = fallback === undefined ? 'searched if left out' : `${fallback} by default`;
    return { name: `${policy.name} ${name}`, summary: `${text}${values}; ${otherwise}` };
  }),
);

const policiesOf = (measure: string): string =>
  [...POLICIES.values()]
    .filter(({ needs }) => (needs as readonly string[]).includes(measure))
    .map(({ name }) => name)
    .join(', ');

const QVLM_ROW: TopicRow = {
  name: QVLM,
  summary: 'weights to the nearest level of their row, and activations too, with searched clips (arXiv 2410.08119)',
};

/** In the order of the help text. */
export const TOPICS: readonly Topic[] = [
  {
    name: 'policies',
    flag: '--allocation',
    text: 'how sparsity is spread over blocks or linears (docs/reference/policies.md)',
    rows: [...POLICIES.values()].map(row),
  },
  {
    name: 'hyperparameters',
    flag: '--hyperparameters',
    text: 'the numbers of each policy, given as name=number',
    rows: hyperparameters,
  },
  {
    name: 'criteria',
    flag: '--criterion',
    text: 'which weights of a linear are removed',
    rows: [...CRITERIA.values()].map(({ name, summary, patterns }) => ({
      name,
      summary: `${summary}; --pattern ${patterns[0]} by default`,
    })),
  },
  { name: 'patterns', flag: '--pattern', text: 'where the weights of a linear compete', rows: PATTERNS.map(row) },
  {
    name: 'methods',
    flag: '--method',
    text: 'which whole blocks layerwise drop removes',
    rows: [...DROP_METHODS.values()].map(row),
  },
  {
    name: 'growth',
    flag: '--method',
    text: 'what layerwise grow makes new blocks of',
    rows: [...GROW_METHODS.values()].map(row),
  },
  {
    name: 'mixtures',
    flag: '--method',
    text: 'which experts layerwise experts removes, and what becomes of them',
    rows: [...EXPERT_METHODS.values()].map(row),
  },
  {
    name: 'quantisers',
    flag: '--method',
    text: 'how layerwise quantise rounds weights',
    rows: [...[...QUANTISERS.values()].map(row), QVLM_ROW],
  },
  {
    name: 'measures',
    flag: '--measures',
    text: 'what layerwise profile measures besides influence and angles',
    rows: PROFILE_MEASURES.map((name) => ({ name, summary: `needed by ${policiesOf(name)}` })),
  },
];
