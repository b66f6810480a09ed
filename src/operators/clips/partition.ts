// Which layers a search of clips takes together (Q-VLM, eqs. 6–7). D[k] is the dependency of layer k + 1 on layer k. From its
// first layer a block is extended while the sum of its D is above h₀ times their number, to at most three layers.

/** Layers [from, to). */
export type LayerSpan = { readonly from: number; readonly to: number };

/** The most layers of a block. "Maximum depth 3" of the paper is read as three layers. */
const MOST_LAYERS = 3;

/** Blocks of `dependencies.length + 1` layers. */
export function partitionLayers(
  dependencies: readonly number[],
  threshold: number,
  most = MOST_LAYERS,
): readonly LayerSpan[] {
  const layers = dependencies.length + 1;
  const spans: LayerSpan[] = [];
  for (let from = 0; from < layers; ) {
    let to = from + 1;
    let sum = 0;
    while (to < layers && to - from < most) {
      sum += dependencies[to - 1]!;
      if (!(sum > (to - from) * threshold)) break;
      to++;
    }
    spans.push({ from, to });
    from = to;
  }
  return spans;
}

/** Blocks of `most` layers, whatever they are. */
export function fixedLayers(layers: number, most = MOST_LAYERS): readonly LayerSpan[] {
  return Array.from({ length: Math.ceil(layers / most) }, (_, i) => ({
    from: i * most,
    to: Math.min(layers, (i + 1) * most),
  }));
}
