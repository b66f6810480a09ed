// How far uniform and the chosen plan are from the dense model: divergence, agreement, and where greedy texts part.

import { escapeHtml, formatPercent, type Html, list, note, section } from '../../page/index.js';
import { type Fidelity, type Manifest, readFidelity } from '../../records/index.js';
import { type ComparedModel, fidelityTable } from '../fidelity.js';
import { describePlan, isUniform } from '../reading.js';

export function fidelitySection(manifest: Manifest): Html {
  const { uniform, chosen } = manifest;
  const { fidelity } = chosen;
  if (!fidelity) return '';
  const same = isUniform(manifest);
  const edited = manifest.bits ? 'quantised' : 'pruned';
  const models: ComparedModel[] = [];
  if (uniform && !same) models.push({ name: 'uniform', fidelity: uniform.fidelity });
  models.push({ name: same ? 'uniform' : escapeHtml(describePlan(manifest)), fidelity, chosen: true });
  return distanceSection(models, fidelity, edited, manifest);
}

/** The same for any models; `fidelity` is that of the one called `edited`. */
export function distanceSection(
  models: readonly ComparedModel[],
  fidelity: Fidelity,
  edited: string,
  manifest: { readonly images?: unknown } = {},
): Html {
  return section(
    'fidelity',
    'Distance to the dense model',
    fidelityTable(models),
    `<p>${sentence(fidelity, edited, unitOf(manifest))}</p>`,
    note(
      manifest.images
        ? `KL(dense ‖ ${edited}) of the classes’ probabilities, nats, over ${fidelity.windows} ${fidelity.text} images; lower is better. One image in a thousand is above the percentile.`
        : `KL(dense ‖ ${edited}) of the next token’s distribution, nats, over the ${fidelity.tokens} ${fidelity.text} tokens that perplexity scores; lower is better. One token in a thousand is above the percentile. Texts without a difference count with all their tokens.`,
    ),
    example(fidelity, edited),
  );
}

/** What is compared one by one, and what both models find likeliest. */
const unitOf = ({ images }: { readonly images?: unknown }): readonly [many: string, found: string] =>
  images ? ['images', 'class'] : ['tokens', 'next token'];

function sentence(fidelity: Fidelity, edited: string, [many, found]: ReturnType<typeof unitOf>): Html {
  const { agreement, same } = readFidelity(fidelity);
  const share = `For ${formatPercent(agreement.mean, 1)} of the ${many} the ${edited} model finds the same ${found} likeliest as the dense model`;
  if (same === null) return `${share}.`;
  const { tokens, same: all } = fidelity.greedy!;
  const whole = all.filter((count) => count === tokens).length;
  return `${share}; of ${all.length} greedy texts of ${tokens} tokens ${whole === 0 ? 'none is' : `${whole} ${whole === 1 ? 'is' : 'are'}`} the same to the end, and the first different token comes after ${same.toFixed(1)} on average.`;
}

function example({ greedy }: Fidelity, edited: string): Html {
  if (!greedy?.worst) return '';
  const { prompt, same, dense } = greedy.worst;
  const words = (text: string): Html => `<code>${escapeHtml(text)}</code>`;
  return `<details><summary>The text that parts first</summary>
${list([
  ['prompt', words(prompt)],
  ['both write', same === '' ? 'nothing' : words(same)],
  ['the dense model goes on', words(dense)],
  [`the ${edited} model goes on`, words(greedy.worst.edited)],
])}
</details>`;
}
