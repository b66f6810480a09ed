// Workers or threads? One block run over 16 windows of 256 tokens by several single-threaded workers side by side, and by one
// worker with as many threads: the measurement behind the rule in src/runs/texts.ts. Taking turns, median of 5.
//
//   npm run bench:workers [-- --threads 2]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import { writeSafetensors } from '#src/checkpoint';
import { createOrtEngine, type Engine } from '#src/engine';
import { blockGraph, type Model, openModel } from '#src/model';
import { createActivations, runBlock } from '#src/stream';
import { median } from './median.js';

const { values } = parseArgs({ options: { threads: { type: 'string', default: String(availableParallelism()) } } });
const threads = Number(values.threads);
const WINDOWS = 16;
const T = 256;
const V = 64;
const rng = createRng(0);
const scratch = mkdtempSync(join(tmpdir(), 'layerwise-workers-'));

async function makeModel(D: number): Promise<Model> {
  const F = Math.round((D * 8) / 3 / 16) * 16;
  const config = { model_type: 'llama', hidden_size: D, intermediate_size: F, num_hidden_layers: 1, vocab_size: V };
  const more = { num_attention_heads: D / 32, max_position_embeddings: T, tie_word_embeddings: true };
  writeFileSync(join(scratch, 'config.json'), JSON.stringify({ ...config, ...more }));
  const at = 'model.layers.0.';
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [V, D]],
    ['model.norm.weight', [D]],
  ];
  for (const norm of ['input_layernorm', 'post_attention_layernorm']) shapes.push([`${at}${norm}.weight`, [D]]);
  for (const kind of ['q', 'k', 'v', 'o']) shapes.push([`${at}self_attn.${kind}_proj.weight`, [D, D]]);
  for (const kind of ['gate', 'up']) shapes.push([`${at}mlp.${kind}_proj.weight`, [F, D]]);
  shapes.push([`${at}mlp.down_proj.weight`, [D, F]]);
  const tensors = shapes.map(([name, shape]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    read: async () => {
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (rng.uniform() - 0.5) / 8);
      return new Uint8Array(values.buffer);
    },
  }));
  await writeSafetensors(join(scratch, 'model.safetensors'), tensors);
  return await openModel(scratch);
}

async function timeRun(engine: Engine, model: Model): Promise<number> {
  const chunks = [WINDOWS / 2, WINDOWS / 2]; // 2,048 tokens each, as runs are
  const [from, to] = [
    await createActivations(chunks, T, model.config.hidden),
    await createActivations(chunks, T, model.config.hidden),
  ];
  for (const [chunk, count] of chunks.entries()) {
    await from.write(
      chunk,
      Float32Array.from({ length: count * T * model.config.hidden }, () => rng.uniform() - 0.5),
    );
  }
  const session = await engine.load(blockGraph(model, 0, { length: T, outputs: 'hidden' }));
  await runBlock(engine, session, from, to); // warm
  const started = performance.now();
  await runBlock(engine, session, from, to);
  const seconds = (performance.now() - started) / 1000;
  await session.release();
  return seconds;
}

try {
  const workers = await createOrtEngine({ device: 'cpu', workers: threads, threads: 1 });
  const wide = await createOrtEngine({ device: 'cpu', workers: 1, threads });
  for (const D of [64, 128, 256, 512, 1024, 2048]) {
    const model = await makeModel(D);
    const times: [number[], number[]] = [[], []];
    for (let turn = 0; turn < 5; turn++) {
      times[0].push(await timeRun(workers, model));
      times[1].push(await timeRun(wide, model));
    }
    const [byWorkers, byThreads] = times.map((list) => (WINDOWS * T) / median(list)) as [number, number];
    console.log(
      JSON.stringify({
        hidden: D,
        weights: model.blockWeights,
        workersTokensPerSecond: byWorkers,
        threadsTokensPerSecond: byThreads,
        ratio: byWorkers / byThreads,
      }),
    );
  }
  await workers.close();
  await wide.close();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
