// How much the loss depends on each token at each linear: g_t², the mean over a linear's outputs of the square of the loss's
// gradient at that output, on the dense model; linears that read the same input share the mean of theirs. With w_t = g_t² over
// its mean, H = Σ_t w_t·x_tᵀx_t measures what an error of the output does to the loss, to second order, where Σ_t x_tᵀx_t measures
// the output alone (GuidedQuant, ICML 2025; MOONSHOT, arXiv 2604.13287).
// We differ: one group of outputs for all linears of a site (GuidedQuant has groups of channels), so there is one matrix per site.

import { type OnProgress, type Own, UnsupportedError, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { createBackward } from '../evaluate/index.js';
import { linearOutput, type Model } from '../model/index.js';
import { type Activations, createActivations, type Importance, type Text } from '../stream/index.js';

/**
 * The roots of the weights, by one pass forward and back over `text`; `own` closes them. The weights of a site have the mean 1.
 * Where the loss does not depend on a site at all (its linears feed zeros), all tokens count alike; `onProgress` is told.
 */
export async function measureImportance(
  own: Own,
  engine: Engine,
  model: Model,
  text: Text,
  onProgress: OnProgress,
): Promise<Importance> {
  requireNoExperts(model);
  const { blocks } = model.config;
  const { chunks, length } = text.embedded;
  onProgress({ kind: 'stage', stage: 'gradients of the loss at every token', total: blocks });
  const stores = await emptyImportance(own, model, text);
  const sums = model.linears.map(() => new Map<string, number>());
  await withResources(async (ownPass) => {
    const backward = await ownPass(createBackward(engine, model));
    await backward.pass(
      { content: text.content, embedded: text.embedded },
      {
        loss: { kind: 'nll' },
        wrt: () => [],
        tokens: {
          groups: (block, graph) => {
            const groups = new Map<string, string[]>();
            for (const linear of model.linears[block]!) {
              groups.set(linear.site, [...(groups.get(linear.site) ?? []), linearOutput(graph, linear)]);
            }
            return groups;
          },
          onMeans: async (block, chunk, means) => {
            for (const [site, values] of means) {
              const total = values.reduce((sum, value) => sum + value, sums[block]!.get(site) ?? 0);
              sums[block]!.set(site, total);
              await stores[block]![site]!.write(chunk, values);
            }
          },
        },
        onGradients: (place) => {
          if (place !== 'head') onProgress({ kind: 'advance', detail: `block ${place + 1} of ${blocks}` });
        },
      },
    );
  });
  const tokens = chunks.reduce((a, b) => a + b, 0) * length;
  for (const [block, sites] of stores.entries()) {
    for (const [site, store] of Object.entries(sites)) {
      const mean = sums[block]!.get(site)! / tokens;
      if (mean === 0) {
        onProgress({
          kind: 'note',
          text: `block ${block}, ${site}: the loss does not depend on it; its tokens count alike.`,
        });
      }
      for (let chunk = 0; chunk < chunks.length; chunk++) {
        const values = await store.read(chunk);
        await store.write(
          chunk,
          values.map((value) => (mean === 0 ? 1 : Math.sqrt(value / mean))),
        );
      }
    }
  }
  return stores;
}

/** Stores of the shape of a text's importance, with nothing in them yet. */
export async function emptyImportance(own: Own, model: Model, { embedded }: Text): Promise<Importance> {
  const { chunks, length } = embedded;
  const importance: Record<string, Activations>[] = [];
  for (const linears of model.linears) {
    const sites: Record<string, Activations> = {};
    for (const { site } of linears) sites[site] ??= await own(createActivations(chunks, length, 1));
    importance.push(sites);
  }
  return importance;
}

/**
 * Which tokens an expert sees changes as the blocks before it are treated, so those of the dense model say nothing of them.
 * @throws UnsupportedError E_UNSUPPORTED_HESSIAN
 */
export function requireNoExperts({ config: { family, mixtures } }: Model): void {
  const block = mixtures.findIndex((mixture) => mixture !== undefined);
  if (block < 0) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_HESSIAN',
    `--hessian: loss is not implemented for models with experts, such as this one (${family}, from block ${block} on): other tokens go to an expert once the blocks before it are treated. Use --hessian output.`,
    { option: 'hessian', got: 'loss', family, block },
  );
}
