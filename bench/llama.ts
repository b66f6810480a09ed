// A LLaMA checkpoint of any size for benches, with the demo's tokenizer, whose tokens do not matter: norms of ones, small random
// embeddings, and linears of zeros or of small random weights. Tensors are made one at a time, so a large one needs little memory.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRng } from '#src/base';
import { writeSafetensors } from '#src/checkpoint';

const DEMO = fileURLToPath(new URL('../../demo/model/', import.meta.url));

/** A sentence that the demo's tokenizer knows, to be repeated. */
export const SENTENCE = 'the cat sat on the mat. ';

export type LlamaShape = {
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly blocks: number;
  readonly positions: number;
};

/** Writes the checkpoint into `dir`, which is made. Returns the bytes of its weights, BF16. */
export async function writeLlama(dir: string, shape: LlamaShape, linears: 'zeros' | 'random'): Promise<number> {
  const { hidden: D, intermediate: F, heads, blocks, positions } = shape;
  const { vocab_size: V } = JSON.parse(readFileSync(join(DEMO, 'config.json'), 'utf8')) as { vocab_size: number };
  const config = {
    ...{ model_type: 'llama', hidden_size: D, intermediate_size: F, num_hidden_layers: blocks, vocab_size: V },
    ...{ num_attention_heads: heads, max_position_embeddings: positions, tie_word_embeddings: true },
  };
  mkdirSync(dir);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  copyFileSync(join(DEMO, 'tokenizer.json'), join(dir, 'tokenizer.json'));
  const tensors: [name: string, shape: readonly number[], fill: Fill][] = [
    ['model.embed_tokens.weight', [V, D], 'random'],
    ['model.norm.weight', [D], 'ones'],
  ];
  for (let block = 0; block < blocks; block++) {
    const at = `model.layers.${block}.`;
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) {
      tensors.push([`${at}${norm}.weight`, [D], 'ones']);
    }
    for (const kind of ['q', 'k', 'v', 'o']) tensors.push([`${at}self_attn.${kind}_proj.weight`, [D, D], linears]);
    for (const kind of ['gate', 'up']) tensors.push([`${at}mlp.${kind}_proj.weight`, [F, D], linears]);
    tensors.push([`${at}mlp.down_proj.weight`, [D, F], linears]);
  }
  const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  await writeSafetensors(
    join(dir, 'model.safetensors'),
    tensors.map(([name, shape, fill], i) => ({
      ...{ name, dtype: 'BF16' as const, shape },
      read: async () => new Uint8Array(valuesOf(sizeOf(shape), fill, i).buffer),
    })),
  );
  return 2 * tensors.reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
}

type Fill = 'zeros' | 'random' | 'ones';

/** BF16 numbers. Random ones lie between 2⁻⁶ and 2⁻⁵ on either side of zero. */
function valuesOf(count: number, fill: Fill, seed: number): Uint16Array<ArrayBuffer> {
  const values = new Uint16Array(count);
  if (fill === 'ones') values.fill(0x3f80);
  if (fill !== 'random') return values;
  const rng = createRng(seed);
  for (let i = 0; i < count; i++) {
    const bits = Math.floor(rng.uniform() * 256);
    values[i] = 0x3c80 | ((bits & 128) << 8) | (bits & 127);
  }
  return values;
}
