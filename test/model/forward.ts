// A whole forward pass to logits on any engine, for tests that compare with other implementations.

import type { Engine } from '../../src/engine/index.js';
import { type BlockSource, blockGraph, headGraph, type Model } from '../../src/model/index.js';
import { embedWindows, runBlock } from '../../src/stream/index.js';
import type { Windows } from '../../src/text/index.js';

/** Logits [windows · T, V] of all windows, through the blocks that `sourceOf` gives; the checkpoint's without. */
export async function forwardLogits(
  engine: Engine,
  model: Model,
  windows: Windows,
  sourceOf?: (block: number) => Promise<BlockSource>,
): Promise<Float32Array> {
  const stream = await embedWindows(model, windows);
  const { length: T } = windows;
  for (let block = 0; block < model.config.blocks; block++) {
    const source = sourceOf ? { source: await sourceOf(block) } : {};
    const session = await engine.load(blockGraph(model, block, { length: T, outputs: 'hidden', ...source }));
    await runBlock(engine, session, stream, stream);
    await session.release();
  }
  const session = await engine.load(headGraph(model, 'logits'));
  const parts: Float32Array[] = [];
  for (const [chunk, count] of stream.chunks.entries()) {
    const shape = [count * T, model.config.hidden];
    const { logits } = await session.run({ x: { type: 'f32', shape, data: await stream.read(chunk) } });
    parts.push(logits!.data as Float32Array);
  }
  await session.release();
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
