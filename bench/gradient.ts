// Forward and backward of one LLaMA block against PyTorch with checkpointing, in turns. Both do the same: run the block once,
// then once more with its derivatives, with respect to the input and to all tensors. Also how far the gradients of the two are
// apart, and the peak memory of a pass over models of growing depth.
//
//   npm run bench:gradient [-- --threads 1 --turns 5 --python <python with torch and safetensors> --depths 4,16]

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createRng } from '#src/base';
import { readTensorFloat32, writeSafetensors } from '#src/checkpoint';
import { createOrtEngine, type HostTensor } from '#src/engine';
import { createBackward } from '#src/evaluate';
import { differentiate } from '#src/graph';
import { blockGraph, blockTensorNames, type Model, openModel } from '#src/model';
import { embedWindows, inParallel } from '#src/stream';
import { fromFloat32 } from '#src/tensor';
import { median } from './median.js';

const { values } = parseArgs({
  options: {
    hidden: { type: 'string', default: '512' },
    intermediate: { type: 'string', default: '1376' },
    heads: { type: 'string', default: '8' },
    length: { type: 'string', default: '256' },
    batch: { type: 'string', default: '8' },
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '5' },
    python: { type: 'string' },
    depths: { type: 'string', default: '4,16' },
    /** One pass over a checkpoint of this many blocks, and no more; what `--depths` starts. */
    pass: { type: 'string' },
  },
});
const [D, F, heads, T, B] = [values.hidden, values.intermediate, values.heads, values.length, values.batch].map(
  Number,
) as [number, number, number, number, number];
const threads = Number(values.threads);
const turns = Number(values.turns);
const VOCABULARY = 512;
const peerScript = fileURLToPath(new URL('../../scripts/peers/gradient_pytorch.py', import.meta.url));

type Figures = { readonly wall: readonly number[]; readonly cpu: readonly number[] };

const rng = createRng(0);
const randoms = (count: number, scale: number, mean = 0): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => mean + scale * (2 * rng.uniform() - 1));

/** A random LLaMA. */
async function writeModel(dir: string, blocks: number): Promise<void> {
  mkdirSync(dir);
  const config = {
    model_type: 'llama',
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    vocab_size: VOCABULARY,
    max_position_embeddings: T,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  const shapes: Record<string, readonly number[]> = {
    'model.embed_tokens.weight': [VOCABULARY, D],
    'model.norm.weight': [D],
  };
  for (let block = 0; block < blocks; block++) {
    const add = (name: string, ...shape: readonly number[]): void => {
      shapes[`model.layers.${block}.${name}.weight`] = shape;
    };
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) add(`self_attn.${name}`, D, D);
    for (const name of ['gate_proj', 'up_proj']) add(`mlp.${name}`, F, D);
    add('mlp.down_proj', D, F);
    add('input_layernorm', D);
    add('post_attention_layernorm', D);
  }
  const tensors = Object.entries(shapes).map(([name, shape]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    read: async () => {
      const count = shape.reduce((a, b) => a * b, 1);
      const values = shape.length === 1 ? randoms(count, 0.2, 1) : randoms(count, 2 / Math.sqrt(shape[1]!));
      return fromFloat32(values, 'F32');
    },
  }));
  await writeSafetensors(join(dir, 'model.safetensors'), tensors, { format: 'pt' });
}

async function compareBlock(scratch: string): Promise<void> {
  const dir = join(scratch, 'block');
  await writeModel(dir, 1);
  const model = await openModel(dir);
  const [x, dY] = [randoms(B * T * D, 1), randoms(B * T * D, 1)];
  const names = [...blockTensorNames(model, 0)].sort();
  const engine = await createOrtEngine({ device: 'cpu', workers: threads, threads: 1 });
  const forward = blockGraph(model, 0, { length: T, outputs: 'hidden' });
  const wrt = ['x', ...names];
  const sessions = [
    await engine.load(forward),
    await engine.load(differentiate(forward, { seeds: ['y'], wrt })),
  ] as const;
  const windows = Math.max(1, Math.floor(B / Math.max(threads, Math.ceil((B * T) / 1024))));
  const part = (data: Float32Array<ArrayBuffer>, first: number): HostTensor => {
    const count = Math.min(windows, B - first);
    return { type: 'f32', shape: [count, T, D], data: data.slice(first * T * D, (first + count) * T * D) };
  };
  const chunks = Array.from({ length: Math.ceil(B / windows) }, (_, i) => i * windows);
  let gradients: readonly Float32Array[] = [];
  const acts = {
    forward: async () => {
      await inParallel(engine.concurrency, chunks.length, (i) => sessions[0].run({ x: part(x, chunks[i]!) }, true));
    },
    backward: async () => {
      const results = await inParallel(engine.concurrency, chunks.length, (i) =>
        sessions[1].run({ x: part(x, chunks[i]!), d_y: part(dY, chunks[i]!) }, true),
      );
      const gX = new Float32Array(B * T * D);
      for (const [i, { g_x }] of results.entries()) gX.set(g_x!.data as Float32Array, chunks[i]! * T * D);
      const sums: Float32Array[] = [];
      for (const name of names) {
        const [sum, ...rest] = results.map((result) => result[`g_${name}`]!.data as Float32Array);
        for (const more of rest) for (let j = 0; j < sum!.length; j++) sum![j]! += more[j]!;
        sums.push(sum!);
      }
      gradients = [gX, ...sums];
    },
  };
  const timed = async (act: () => Promise<void>): Promise<readonly [wall: number, cpu: number]> => {
    const before = process.cpuUsage();
    const start = performance.now();
    await act();
    const wall = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(before);
    return [wall, (user + system) / 1e6];
  };
  const ours = { forward: { wall: [], cpu: [] }, backward: { wall: [], cpu: [] } } as Record<
    'forward' | 'backward',
    { wall: number[]; cpu: number[] }
  >;
  const peers: Record<string, { wall: number[]; cpu: number[] }> = {};
  const [file, out] = [join(scratch, 'peer.safetensors'), join(scratch, 'gradients.f32')];
  if (values.python !== undefined) await writePeerFile(file, model, names, x, dY);
  for (let turn = 0; turn <= turns; turn++) {
    for (const act of ['forward', 'backward'] as const) {
      const [wall, cpu] = await timed(acts[act]);
      if (turn === 0) continue;
      ours[act].wall.push(wall);
      ours[act].cpu.push(cpu);
    }
    if (values.python === undefined || turn === 0) continue;
    const output = execFileSync(
      values.python,
      [
        peerScript,
        '--file',
        file,
        '--heads',
        String(heads),
        '--threads',
        String(threads),
        '--turns',
        '2',
        '--out',
        out,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    );
    for (const [name, { wall, cpu }] of Object.entries(JSON.parse(output) as Record<string, Figures>)) {
      peers[name] ??= { wall: [], cpu: [] };
      const all = peers[name];
      all.wall.push(...wall);
      all.cpu.push(...cpu);
    }
  }
  for (const session of sessions) await session.release();
  await engine.close();
  const middle = ({ wall, cpu }: Figures) => ({ wall: median(wall), cpu: median(cpu) });
  const mine = { forward: middle(ours.forward), backward: middle(ours.backward) };
  const both = { wall: mine.forward.wall + mine.backward.wall, cpu: mine.forward.cpu + mine.backward.cpu };
  const theirs = Object.fromEntries(Object.entries(peers).map(([name, figures]) => [name, middle(figures)]));
  const checkpointed = theirs.checkpointed;
  console.log(
    JSON.stringify(
      {
        block: { D, F, heads, T, B },
        threads,
        ours: { ...mine, both },
        ...(checkpointed && {
          pytorch: theirs,
          ratio: { wall: checkpointed.wall / both.wall, cpu: checkpointed.cpu / both.cpu },
          gradientsDiffer: distances(gradients, ['x', ...names], out),
        }),
      },
      null,
      2,
    ),
  );
}

async function writePeerFile(
  file: string,
  model: Model,
  names: readonly string[],
  x: Float32Array<ArrayBuffer>,
  dY: Float32Array<ArrayBuffer>,
): Promise<void> {
  const tensors = await Promise.all(
    names.map(async (name) => {
      const data = await readTensorFloat32(model.checkpoint, name);
      return { name, shape: model.checkpoint.tensors.get(name)!.shape, data };
    }),
  );
  tensors.push({ name: 'x', shape: [B, T, D], data: x }, { name: 'd_y', shape: [B, T, D], data: dY });
  await writeSafetensors(
    file,
    tensors.map(({ name, shape, data }) => ({ name, dtype: 'F32', shape, read: async () => fromFloat32(data, 'F32') })),
    { format: 'pt' },
  );
}

/** The largest ‖ours − theirs‖ / ‖theirs‖. */
function distances(ours: readonly Float32Array[], names: readonly string[], file: string): Record<string, number> {
  const bytes = readFileSync(file);
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let at = 0;
  const result: Record<string, number> = {};
  for (const [i, gradient] of ours.entries()) {
    let [difference, size] = [0, 0];
    for (const [j, value] of gradient.entries()) {
      difference += (value - all[at + j]!) ** 2;
      size += all[at + j]! ** 2;
    }
    at += gradient.length;
    result[names[i]!] = Math.sqrt(difference / size);
  }
  return result;
}

/** One pass over a model, all linears differentiated; prints the peak of this process. */
async function passOver(dir: string): Promise<void> {
  const model = await openModel(dir);
  const engine = await createOrtEngine({ device: 'cpu', workers: threads, threads: 1 });
  const window = () => Int32Array.from({ length: T }, () => rng.below(VOCABULARY));
  const windows = { length: T, windows: Array.from({ length: B }, window) };
  const embedded = await embedWindows(model, windows);
  const backward = createBackward(engine, model);
  const started = performance.now();
  let tensors = 0;
  const loss = await backward.pass(
    { content: windows, embedded },
    {
      loss: { kind: 'nll' },
      wrt: (place) => (place === 'head' ? [] : blockTensorNames(model, place)),
      onGradients: (_, gradients) => {
        tensors += gradients.size;
      },
    },
  );
  const seconds = (performance.now() - started) / 1000;
  await engine.close();
  const peakMegabytes = Math.round((process.resourceUsage().maxRSS * 1024) / 1e6);
  console.log(JSON.stringify({ blocks: model.config.blocks, tensors, loss, seconds, peakMegabytes }));
}

if (values.pass === undefined) {
  const scratch = mkdtempSync(join(tmpdir(), 'layerwise-bench-'));
  try {
    await compareBlock(scratch);
    for (const depth of values.depths.split(',').filter(Boolean).map(Number)) {
      const dir = join(scratch, `depth-${depth}`);
      await writeModel(dir, depth);
      const asked = process.argv.slice(2).filter((argument) => argument !== '--');
      const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...asked, '--pass', dir], {
        encoding: 'utf8',
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      if (run.status !== 0) throw new Error(`a pass over ${depth} blocks ended with ${run.status}`);
      rmSync(dir, { recursive: true });
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
} else {
  await passOver(values.pass);
}
