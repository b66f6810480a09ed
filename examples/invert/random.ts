// Seeded normal numbers (Box, Muller 1958).

import { createRng } from 'layerwise';

export function createNormal(seed: number): () => number {
  const rng = createRng(seed);
  return () => Math.sqrt(-2 * Math.log(1 - rng.uniform())) * Math.cos(2 * Math.PI * rng.uniform());
}

export function normals(count: number, seed: number): Float32Array<ArrayBuffer> {
  const normal = createNormal(seed);
  return Float32Array.from({ length: count }, normal);
}
