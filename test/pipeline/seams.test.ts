// Repairs of removed blocks (src/pipeline/seams.ts): the fitted weights against least squares by elimination in double precision,
// for every family; streams with several gaps; sparse weights; threads and interrupted runs; a trained checkpoint.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng, silent, withResources } from '../../src/base/index.js';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { scoreSamples } from '../../src/evaluate/index.js';
import {
  type BlockSource,
  blockGraph,
  type Linear,
  type Model,
  openModel,
  seamGraph,
  toRows,
  weightName,
} from '../../src/model/index.js';
import {
  blockFileSource,
  blockPath,
  fileShelf,
  memoryShelf,
  type RepairWay,
  readBlockFile,
  repairSeams,
  requireRepairable,
  scoreKept,
} from '../../src/pipeline/index.js';
import { seamsOf } from '../../src/plan/index.js';
import { prepareText } from '../../src/runs/index.js';
import { embedSamples, embedWindows, passBlock, sameShape, type Text } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { loadTokenizer, type Windows } from '../../src/text/index.js';
import { codeOf } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';

let scratch: string;
const engines: Engine[] = [];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-seams-'));
  for (const workers of [1, 3]) engines.push(await createOrtEngine({ device: 'cpu', workers, threads: 1 }));
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

const [WINDOWS, LENGTH] = [48, 24];

async function textOf(model: Model, seed = 7): Promise<Text> {
  const rng = createRng(seed);
  const window = (): Int32Array =>
    Int32Array.from({ length: LENGTH }, () => Math.floor(rng.uniform() * model.config.vocabulary));
  const windows: Windows = { windows: Array.from({ length: WINDOWS }, window), length: LENGTH };
  return { content: windows, embedded: await embedWindows(model, windows) };
}

let runs = 0;
const LINEAR: RepairWay = { merge: false, fit: true, follow: undefined };
const STREAM: RepairWay = { ...LINEAR, follow: { alpha: 1, gamma: 1 } };
async function repair(
  model: Model,
  gone: readonly number[],
  options: { engine?: Engine; dir?: string; way?: RepairWay } = {},
) {
  const { engine = engines[0]!, dir = await mkdtemp(join(scratch, `run-${runs++}-`)), way = LINEAR } = options;
  const seams = seamsOf(model.config.blocks, new Set(gone));
  const shelf = fileShelf(model, dir);
  await repairSeams({ engine, model, seams, way, text: await textOf(model), shelf, onProgress: silent });
  const files = await Promise.all(seams.map(({ block }) => readFile(blockPath(dir, block))));
  return { dir, seams, files };
}

/** Runs one block on rows [WINDOWS, LENGTH, width], all at once. */
async function runOn(model: Model, block: number, x: Float32Array, outputs: 'hidden' | 'inputs', source?: BlockSource) {
  const session = await engines[0]!.load(
    blockGraph(model, block, { length: LENGTH, outputs, ...(source ? { source } : {}) }),
  );
  const shape = [x.length / LENGTH / model.config.hidden, LENGTH, model.config.hidden];
  const made = await session.run({ x: { type: 'f32', shape, data: x.slice() } });
  await session.release();
  return Object.fromEntries(Object.entries(made).map(([name, { data }]) => [name, data as Float32Array]));
}

async function embeddings(model: Model): Promise<Float32Array> {
  const { embedded } = await textOf(model);
  const parts = await Promise.all(embedded.chunks.map((_, chunk) => embedded.read(chunk)));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

type Rows = readonly ArrayLike<number>[];
const rowsOf = (data: Float32Array, width: number): Rows =>
  Array.from({ length: data.length / width }, (_, t) => data.subarray(t * width, (t + 1) * width));

/** The columns d with the least Σ_t (r_t − x_t·d)² + μ·‖d‖², μ = 0.01·mean Σ x_j², for one channel r, by elimination. */
function leastSquares(X: Rows, r: readonly number[], free: readonly number[], mu?: number): Float64Array {
  const squares = Array.from({ length: X[0]!.length }, (_, j) => X.reduce((sum, x) => sum + x[j]! ** 2, 0));
  const alive = squares.filter((square) => square > 0);
  const damping = mu ?? (0.01 * alive.reduce((a, b) => a + b, 0)) / alive.length;
  const A = free.map((i) => [
    ...free.map((j) => X.reduce((sum, x) => sum + x[i]! * x[j]!, i === j ? damping : 0)),
    X.reduce((sum, x, t) => sum + x[i]! * r[t]!, 0),
  ]);
  for (let i = 0; i < A.length; i++) {
    for (let k = 0; k < A.length; k++) {
      if (k === i) continue;
      const factor = A[k]![i]! / A[i]![i]!;
      for (let j = i; j <= A.length; j++) A[k]![j]! -= factor * A[i]![j]!;
    }
  }
  const d = new Float64Array(X[0]!.length);
  for (const [i, j] of free.entries()) d[j] = A[i]![A.length]! / A[i]![i]!;
  return d;
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, before: ArrayLike<number>, what: string): void {
  const moved = Array.from(wanted, (value, i) => Math.abs(value - before[i]!));
  const largest = Math.max(...moved);
  expect(largest, `${what} moves`).toBeGreaterThan(1e-3);
  for (let i = 0; i < wanted.length; i++) {
    expect(Math.abs(got[i]! - wanted[i]!) / largest, `${what} at ${i}`).toBeLessThan(2e-3);
  }
}

/** The router’s share of each token that an expert has, from the expert’s rows. */
async function sharesOf(model: Model, linear: Linear, rows: Rows): Promise<number[]> {
  const { perToken, normalised, experts } = model.config.mixtures[linear.block]!;
  const name = [...model.checkpoint.tensors.keys()].find(
    (one) => one.startsWith(`${model.tensorNames.blocks}${linear.block}.`) && /(moe|mlp)\.gate\.weight$/.test(one),
  )!;
  const router = rowsOf(await readTensorFloat32(model.checkpoint, name), model.config.hidden);
  expect(router).toHaveLength(experts);
  return rows.map((x) => {
    const logits = router.map((w) => Array.from(w).reduce((sum, value, j) => sum + value * x[j]!, 0));
    const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    const first = [...powers].sort((a, b) => b - a).slice(0, perToken);
    const total = (normalised ? first : powers).reduce((a, b) => a + b, 0);
    return powers[linear.expert!]! / total;
  });
}

describe.each(Object.keys(FAMILY_CONFIGS))('%s', (family) => {
  test(
    'what ends the block before a gap is the least-squares fit to the blocks in it',
    async () => {
      const model = await openModel(await makeFamily(join(scratch, family), family, { blocks: 4 }));
      const { hidden: D } = model.config;
      const block = family === 'qwen3_moe' ? 1 : 0; // its even blocks have no experts
      const { dir } = await repair(model, [block + 1, block + 2]);
      let x = await embeddings(model);
      for (let b = 0; b < block; b++) x = (await runOn(model, b, x, 'hidden')).y!;
      const { y } = await runOn(model, block, x, 'hidden');
      let target = y!;
      for (const gone of [block + 1, block + 2]) target = (await runOn(model, gone, target, 'hidden')).y!;
      const R = rowsOf(
        target.map((value, i) => value - y![i]!),
        D,
      );
      const inputs = await runOn(model, block, x, 'inputs');
      const read = await readBlockFile(model, blockPath(dir, block));
      const { end } = seamGraph(model, block, LENGTH);
      expect(end.kind).toBe(family.startsWith('gemma') || family === 'opt' ? 'norm' : 'linears');
      if (end.kind === 'norm') {
        const gain = await readTensorFloat32(model.checkpoint, end.gain!);
        const bias = end.bias === undefined ? undefined : await readTensorFloat32(model.checkpoint, end.bias);
        const down = model.linears[block]!.find(({ kind }) => kind === 'down')!;
        const W = rowsOf(toRows(down, await readTensorFloat32(model.checkpoint, weightName(down))), down.columns);
        // The value before the gain: for gemma from what down reads, for OPT from y.
        const n = bias
          ? rowsOf(y!, D).map((row) => Array.from(row, (value, j) => (value - bias[j]!) / gain[j]!))
          : rowsOf(inputs.mlp_out!, down.columns).map((row) => {
              const d = W.map((w) => Array.from(w).reduce((sum, value, j) => sum + value * row[j]!, 0));
              const scale = Math.sqrt(d.reduce((sum, value) => sum + value ** 2, 0) / D + model.config.normEps);
              return d.map((value) => value / scale);
            });
        const mean = n.reduce((sum, row) => sum + row.reduce((a, b) => a + b ** 2, 0), 0) / D;
        const wanted = { gain: gain.slice(), bias: bias?.slice() };
        for (let j = 0; j < D; j++) {
          // 1 as the second column of a bias, damped like the first: its own mean square is the number of tokens.
          const X = n.map((row) => (bias ? [row[j]! / Math.sqrt(mean / n.length), 1] : [row[j]!]));
          const missing = R.map((row) => row[j]!);
          const d = leastSquares(X, missing, bias ? [0, 1] : [0], bias ? 0.01 * n.length : 0.01 * mean);
          wanted.gain[j]! += d[0]! / (bias ? Math.sqrt(mean / n.length) : 1);
          if (bias) wanted.bias![j]! += d[1]!;
        }
        expectClose(toFloat32(await read(end.gain!), 'F32'), wanted.gain, gain, 'gain');
        if (bias) expectClose(toFloat32(await read(end.bias!), 'F32'), wanted.bias!, bias, 'bias');
        return;
      }
      for (const linear of end.linears) {
        const { rows, columns, expert, site } = linear;
        const own = Array.from(R.keys()).filter(
          (t) => expert === undefined || inputs.tokensPerExpert![expert * R.length + t] === 1,
        );
        const shares =
          expert === undefined
            ? own.map(() => 1)
            : await sharesOf(model, linear, rowsOf(inputs[`expert_${expert}_in`]!, D));
        const X = rowsOf(inputs[site]!, columns).map((row, t) => Array.from(row, (value) => value * shares[t]!));
        const before = toRows(linear, await readTensorFloat32(model.checkpoint, weightName(linear)));
        const wanted = Float64Array.from(before);
        const all = Array.from({ length: columns }, (_, j) => j);
        for (let i = 0; i < rows; i++) {
          const d = leastSquares(
            X,
            own.map((t) => R[t]![i]!),
            all,
          );
          for (let j = 0; j < columns; j++) wanted[i * columns + j]! += d[j]! / end.perToken;
        }
        expectClose(toRows(linear, toFloat32(await read(weightName(linear)), 'F32')), wanted, before, linear.name);
      }
    },
    limit(60_000),
  );

  test(
    'the stream comes nearer to the dense one at every gap, also where the first blocks are gone',
    async () => {
      const model = await openModel(
        await makeFamily(join(scratch, `${family}-2`), family, { blocks: 7, dtype: 'F16' }),
      );
      const gone = new Set([0, 2, 4, 6]);
      const { dir, seams } = await repair(model, [...gone]);
      expect(seams.map(({ block }) => block)).toEqual([1, 3, 5]);
      const source = new Map<number, BlockSource>();
      for (const { block } of seams) source.set(block, await blockFileSource(blockPath(dir, block)));
      let dense = await embeddings(model);
      let [bare, repaired] = [dense, dense];
      const distance = (a: Float32Array, b: Float32Array): number =>
        a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
      const next = async (block: number, x: Float32Array, from?: BlockSource): Promise<Float32Array> =>
        (await runOn(model, block, x, 'hidden', from)).y!;
      for (let block = 0; block < 7; block++) {
        dense = await next(block, dense);
        if (gone.has(block)) continue;
        const own = await next(block, repaired);
        bare = await next(block, bare);
        repaired = await next(block, repaired, source.get(block));
        let after = dense;
        for (let one = block + 1; gone.has(one); one++) after = await next(one, after);
        expect(distance(after, repaired), `block ${block}`).toBeLessThan(distance(after, own));
      }
      expect(distance(dense, repaired)).toBeLessThan(distance(dense, bare));
    },
    limit(60_000),
  );
});

test('zeros of a sparse linear stay zeros, and the others are the fit on them', async () => {
  const change = (name: string, values: Float32Array): void => {
    const rng = createRng(3);
    if (name.endsWith('down_proj.weight'))
      for (let i = 0; i < values.length; i++) if (rng.uniform() < 0.5) values[i] = 0;
  };
  const model = await openModel(await makeFamily(join(scratch, 'sparse'), 'llama', { blocks: 3, change }));
  const { dir } = await repair(model, [1]);
  const down = model.linears[0]!.find(({ kind }) => kind === 'down')!;
  const before = await readTensorFloat32(model.checkpoint, weightName(down));
  const x = await embeddings(model);
  const { y } = await runOn(model, 0, x, 'hidden');
  const { y: after } = await runOn(model, 1, y!, 'hidden');
  const X = rowsOf((await runOn(model, 0, x, 'inputs')).mlp_out!, down.columns);
  const got = toFloat32(await (await readBlockFile(model, blockPath(dir, 0)))(weightName(down)), 'F32');
  const wanted = Float64Array.from(before);
  for (let i = 0; i < down.rows; i++) {
    const free = Array.from({ length: down.columns }, (_, j) => j).filter((j) => before[i * down.columns + j] !== 0);
    const d = leastSquares(
      X,
      X.map((_, t) => after![t * down.rows + i]! - y![t * down.rows + i]!),
      free,
    );
    for (const j of free) wanted[i * down.columns + j]! += d[j]!;
  }
  expectClose(got, wanted, before, 'down');
  for (const [i, value] of before.entries()) if (value === 0) expect(Object.is(got[i], 0)).toBe(true);
});

test('the bytes are the same for any number of workers, and after an interruption at any seam', async () => {
  const model = await openModel(await makeFamily(join(scratch, 'again'), 'qwen3_moe', { blocks: 6 }));
  const whole = await repair(model, [1, 3, 5]);
  expect((await repair(model, [1, 3, 5], { engine: engines[1]! })).files).toEqual(whole.files);
  for (let done = 0; done < 3; done++) {
    const { dir, seams } = await repair(model, [1, 3, 5]);
    for (const { block } of seams.slice(done)) await rm(blockPath(dir, block));
    expect((await repair(model, [1, 3, 5], { dir })).files, `after ${done}`).toEqual(whole.files);
  }
});

describe('blocks behind a gap that follow the dense stream', () => {
  const gone = [1, 4];

  test.each(['llama', 'gemma3', 'mixtral', 'gpt_neox'])('%s: bring it nearer than seams alone', async (family) => {
    const model = await openModel(await makeFamily(join(scratch, `follow-${family}`), family, { blocks: 7 }));
    const last = async (dir: string | undefined, removed: readonly number[]): Promise<Float32Array> => {
      let x = await embeddings(model);
      for (let block = 0; block < 7; block++) {
        if (removed.includes(block)) continue;
        const path = dir && blockPath(dir, block);
        const source = path && (await readFile(path).catch(() => undefined)) ? await blockFileSource(path) : undefined;
        x = (await runOn(model, block, x, 'hidden', source)).y!;
      }
      return x;
    };
    const dense = await last(undefined, []);
    const distance = async (dir: string): Promise<number> =>
      (await last(dir, gone)).reduce((sum, value, i) => sum + (value - dense[i]!) ** 2, 0);
    const [linear, stream] = [await repair(model, gone), await repair(model, gone, { way: STREAM })];
    expect(await distance(stream.dir)).toBeLessThan(await distance(linear.dir));
    // The first seam is before anything that could follow.
    expect(stream.files[0]).toEqual(linear.files[0]);
  });

  test('are the same after an interruption, on any number of workers, and in memory', async () => {
    const model = await openModel(await makeFamily(join(scratch, 'follow-again'), 'qwen2', { blocks: 7 }));
    const removed = new Set(gone);
    const whole = await repair(model, gone, { way: STREAM });
    const all = [0, 2, 3, 5, 6];
    const filesIn = (dir: string) => Promise.all(all.map((block) => readFile(blockPath(dir, block))));
    const wanted = await filesIn(whole.dir);
    expect(await filesIn((await repair(model, gone, { way: STREAM, engine: engines[1]! })).dir)).toEqual(wanted);
    for (let done = 0; done < all.length; done++) {
      const { dir } = await repair(model, gone, { way: STREAM });
      for (const block of all.slice(done)) await rm(blockPath(dir, block));
      await repair(model, gone, { way: STREAM, dir });
      expect(await filesIn(dir), `after ${done}`).toEqual(wanted);
    }
    const text = await textOf(model, 8);
    const dir = join(scratch, 'nothing-is-written-here');
    const memory = memoryShelf(model, dir);
    const seams = seamsOf(7, removed);
    const common = { engine: engines[0]!, model, seams, way: STREAM, onProgress: silent };
    await repairSeams({ ...common, text: await textOf(model), shelf: memory });
    const score = (shelf?: typeof memory) => scoreKept(engines[0]!, model, removed, text, shelf);
    expect(await score(memory)).toEqual(await score(fileShelf(model, whole.dir)));
    expect(await score(memory)).not.toEqual(await score());
    await expect(readFile(dir)).rejects.toThrow('ENOENT');
  });
});

test('a block that ends with a norm without a gain is refused', async () => {
  const config = { ...FAMILY_CONFIGS.opt, layer_norm_elementwise_affine: false };
  const model = await openModel(await makeFamily(join(scratch, 'bare'), 'opt', { config }));
  expect(await codeOf(Promise.resolve().then(() => requireRepairable(model)))).toBe('E_UNSUPPORTED_REPAIR');
  const plain = { ...config, do_layer_norm_before: true };
  requireRepairable(await openModel(await makeFamily(join(scratch, 'bare-2'), 'opt', { config: plain })));
});

const trained = sharedPath('models', 'novels-2m');
testWith(trained, 'a trained checkpoint')(
  'of what four dropped blocks of a trained checkpoint cost, the repair takes back what PyTorch measured',
  async () => {
    const engine = engines[0]!;
    const model = await openModel(trained!);
    const tokenizer = await loadTokenizer(trained!);
    const windowsOf = async (name: string) =>
      await prepareText(model, tokenizer, {
        ...{ path: sharedPath('data', 'novels', `${name}.txt`)!, role: 'test', length: 256, order: 'sequential' },
        ...{ count: 64, start: undefined, seed: 0, onProgress: silent },
      });
    const [calibration, validation] = [await windowsOf('calibration'), await windowsOf('validation')];
    const perplexity = (removed: ReadonlySet<number>, dir?: string): Promise<number> =>
      withResources(async (own) => {
        const text = await embedSamples(own, engine, model, validation.content);
        const store = await own(sameShape(text.embedded));
        const repaired = new Set(dir ? seamsOf(model.config.blocks, removed).map(({ block }) => block) : []);
        let from = text.embedded;
        for (let block = 0; block < model.config.blocks; block++) {
          if (removed.has(block)) continue;
          const source = repaired.has(block) ? await blockFileSource(blockPath(dir!, block)) : undefined;
          await passBlock(engine, model, block, [[from, store]], source);
          from = store;
        }
        const nll = await scoreSamples(engine, model, from, text.content);
        return Math.exp(nll.reduce((a, b) => a + b) / nll.length);
      });
    // ../shared/reference/structured-bits-recovery.md, D.4: computed by another program.
    for (const [gone, bare, repaired] of [
      [[3, 4, 6, 8], 68.37, 62.25],
      [[6, 7, 8, 9], 78.65, 74.37],
    ] as const) {
      const removed = new Set(gone);
      expect(await perplexity(removed)).toBeCloseTo(bare, 1);
      const dir = await mkdtemp(join(scratch, 'trained-'));
      const seams = seamsOf(model.config.blocks, removed);
      await withResources(async (own) => {
        const text = await embedSamples(own, engine, model, calibration.content);
        const shelf = fileShelf(model, dir);
        await repairSeams({ engine, model, seams, way: LINEAR, text, shelf, onProgress: silent });
      });
      expect(await perplexity(removed, dir)).toBeCloseTo(repaired, 1);
    }
  },
  limit(90_000),
);
