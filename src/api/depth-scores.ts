// Scores of models with fewer or more blocks than the dense one. Blocks go or come, the head stays: the dense model's reads the
// residuals of both.

import { type OnProgress, withResources } from '../base/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { scoreKept } from '../pipeline/index.js';
import type { Evaluation } from '../records/index.js';
import { type PreparedTexts, type ScoringContext, scoreAgainst, scoreText } from '../runs/index.js';
import { embedSamples, scoringOf } from '../stream/index.js';
import type { Windows } from '../text/index.js';

type Role = 'validation' | 'test';
export type Perplexities = Readonly<Record<Role, number | null>>;

/** The scores of a model as it is, or of the dense one, and how far it is from that. Each is a step of the run. */
export async function scoreDepth(
  context: ScoringContext,
  texts: PreparedTexts,
  name: string,
  other: Model | undefined,
  onProgress: OnProgress,
) {
  const { engine, model, workspace, reference } = context;
  const { evaluation, compared } = await scoreAgainst(context, other, undefined, { name, losses: true, onProgress });
  const evaluationOf = async (role: Role): Promise<Evaluation | null> => {
    if (!texts[role]) return null;
    if (reference?.text === role) return evaluation!;
    const score = () => scoreText(engine, other ?? model, undefined, texts[role]!, `${role}: ${name}`, onProgress);
    return await workspace.step(`${role}-${name}`, score);
  };
  const evaluations = { validation: await evaluationOf('validation'), test: await evaluationOf('test') };
  const { validation, test } = evaluations;
  const perplexities: Perplexities = { validation: validation?.perplexity ?? null, test: test?.perplexity ?? null };
  return { evaluations, perplexities, compared };
}

/** The perplexities without the blocks `removed`, which are left out where they are: nothing is written. */
export async function perplexitiesWithout(
  { engine, model }: Pick<ScoringContext, 'engine' | 'model'>,
  texts: PreparedTexts<Windows>,
  removed: ReadonlySet<number>,
  onProgress: OnProgress,
): Promise<Perplexities> {
  const perplexityOf = async (role: Role): Promise<number | null> => {
    const content = texts[role]?.content;
    if (!content) return null;
    onProgress({ kind: 'stage', stage: `${role}: unrepaired` });
    return await withResources(async (own) => {
      const text = await embedSamples(own, engine, model, content);
      return summarise(await scoreKept(engine, model, removed, text), scoringOf(content)).perplexity;
    });
  };
  return { validation: await perplexityOf('validation'), test: await perplexityOf('test') };
}
