// Scores of models with fewer or more blocks than the dense one. Blocks go or come, the head stays: the dense model's reads the
// residuals of both.

import type { OnProgress } from '../base/index.js';
import type { Model } from '../model/index.js';
import { type PreparedTexts, type ScoringContext, scoreAgainst, scoreText } from '../runs/index.js';

type Role = 'validation' | 'test';
export type Perplexities = Readonly<Record<Role, number | null>>;

/** The perplexities of a model as it is, or of the dense one, and how far it is from that. Each is a step of the run. */
export async function scoreDepth(
  context: ScoringContext,
  texts: PreparedTexts,
  name: string,
  other: Model | undefined,
  onProgress: OnProgress,
) {
  const { engine, model, workspace, reference } = context;
  const { evaluation, compared } = await scoreAgainst(context, other, undefined, { name, losses: true, onProgress });
  const perplexityOf = async (role: Role): Promise<number | null> => {
    if (!texts[role]) return null;
    if (reference?.text === role) return evaluation!.perplexity;
    const score = () => scoreText(engine, other ?? model, undefined, texts[role]!, `${role}: ${name}`, onProgress);
    return (await workspace.step(`${role}-${name}`, score)).perplexity;
  };
  const perplexities: Perplexities = { validation: await perplexityOf('validation'), test: await perplexityOf('test') };
  return { perplexities, compared };
}

/** The perplexities alone, without steps. */
export async function perplexitiesOf(
  { engine, model }: Pick<ScoringContext, 'engine' | 'model'>,
  texts: PreparedTexts,
  name: string,
  onProgress: OnProgress,
): Promise<Perplexities> {
  const perplexityOf = async (role: Role): Promise<number | null> => {
    const text = texts[role];
    if (!text) return null;
    return (await scoreText(engine, model, undefined, text, `${role}: ${name}`, onProgress)).perplexity;
  };
  return { validation: await perplexityOf('validation'), test: await perplexityOf('test') };
}
