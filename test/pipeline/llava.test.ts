// Pruning either trunk of a LLaVA on questions about images: what padding may not change, which tensors a run may change, and the
// loss of answers against transformers' logits.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent, withResources } from '../../src/base/index.js';
import { openCheckpoint, readTensor, writeCheckpoint, writeSafetensors } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import {
  compareStreams,
  scoreChoices,
  scoreDivergences,
  scoreSamples,
  summariseFidelity,
} from '../../src/evaluate/index.js';
import {
  headGraph,
  linearUnits,
  type Model,
  openModel,
  openTrunk,
  residualShape,
  weightName,
} from '../../src/model/index.js';
import { findCriterion, type Pattern } from '../../src/operators/index.js';
import {
  blockPath,
  measureEvidence,
  openBlockFile,
  pruneSequentially,
  readBlockFile,
  runBlocks,
  runDense,
} from '../../src/pipeline/index.js';
import { measureGradients } from '../../src/profile/index.js';
import {
  checkDialogues,
  type Dialogues,
  embedSamples,
  type Images,
  imageShareOf,
  padDialogues,
  pick,
  takeEvenly,
} from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { goldenPixels, lcg, readVisionGolden, writeGoldenModel } from '../vision-golden.js';
import { planOf } from './plans.js';

const IMAGE = 119;
const golden = readVisionGolden('llava');
const ROW: Pattern = { kind: 'row' };
const operator = findCriterion('wanda');

let root: string;
let dir: string;
let engine: Engine;
let vision: Model;
let language: Model;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'layerwise-llava-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  dir = await writeGoldenModel(golden, join(root, 'model'));
  const checkpoint = await openCheckpoint(dir);
  [vision, language] = [await openTrunk(checkpoint, 'vision'), await openTrunk(checkpoint, 'language')];
});
afterAll(async () => {
  await engine.close();
  await rm(root, { recursive: true, force: true });
});

function imagesOf(count: number): Images {
  const values = goldenPixels([count, 3, 32, 32]);
  const pixels = Array.from({ length: count }, (_, n) => values.subarray(n * 3072, (n + 1) * 3072));
  const { length } = residualShape(vision.config, -1, 0);
  return { length, height: 32, width: 32, pixels, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
}

/** Samples of the same beginning and image, whose questions and answers have the given numbers of tokens. */
function dialogues(sizes: readonly (readonly [question: number, answer: number])[], length?: number): Dialogues {
  const u = lcg(3);
  const some = (count: number): number[] => Array.from({ length: count }, () => Math.floor((u() + 1) * 0.5 * 118));
  const samples = sizes.map(([question, answer]) => {
    const before = [1, 7, 8, ...new Array<number>(16).fill(IMAGE), ...some(question)];
    const tokens = Int32Array.from([...before, ...some(answer)]);
    return { tokens, answer: Int32Array.from({ length: answer }, (_, i) => before.length + i), images: 1 };
  });
  return padDialogues(samples, imagesOf(sizes.length), { length, imageToken: IMAGE });
}

const lossOf = async (model: Model, content: Dialogues, text = model): Promise<number[]> =>
  await withResources(async (own) => {
    const samples = await embedSamples(own, engine, text, content);
    return await scoreSamples(engine, text, await own(runBlocks(engine, text, samples, silent)), content);
  });

/** −log p of the token at `place`, plainly. */
function surprise(logits: ArrayLike<number>, token: number): number {
  const all = Array.from(logits);
  const largest = Math.max(...all);
  return largest + Math.log(all.reduce((sum, one) => sum + Math.exp(one - largest), 0)) - all[token]!;
}

describe('the loss of an answer', () => {
  test('is that of transformers, through the language model and through both trunks', async () => {
    const { input, logitRows } = golden.runs[0]!;
    const ids = input.ids![0]!;
    const answer = [2, 4, 12]; // transformers' logits of the rows before them are in the golden file
    const content: Dialogues = {
      length: ids.length,
      tokens: [Int32Array.from(ids)],
      lengths: [ids.length],
      answers: [Int32Array.from(answer)],
      images: imagesOf(1),
      counts: [1],
    };
    const wanted =
      answer.reduce((sum, place) => sum + surprise(logitRows![String(place - 1)]!, ids[place]!), 0) / answer.length;
    for (const model of [language, vision]) {
      const [loss] = await lossOf(model, content);
      expect(Math.abs(loss! - wanted)).toBeLessThan(1e-4);
    }
  });

  test('counts the tokens of each answer, whatever their number', async () => {
    const content = dialogues([
      [3, 2],
      [5, 4],
      [2, 1],
    ]);
    expect(content.length).toBe(28);
    const together = await lossOf(language, content);
    for (const [at, loss] of together.entries()) {
      const [alone] = await lossOf(language, pick(content, [at]));
      expect(loss).toBe(alone);
    }
    // By hand, from all logits.
    await withResources(async (own) => {
      const samples = await embedSamples(own, engine, language, content);
      const stream = await own(runBlocks(engine, language, samples, silent));
      const session = await own(engine.load(headGraph(language, 'logits')));
      const data = await stream.read(0);
      const x = { type: 'f32', shape: [data.length / 32, 32], data: data.slice() } as const;
      const logits = (await session.run({ x })).logits!.data as Float32Array;
      let [right, tokens, whole] = [0, 0, 0];
      for (const [at, places] of content.answers.entries()) {
        const before = right;
        const losses = Array.from(places, (place) => {
          const row = at * content.length + place - 1;
          const own = logits.subarray(row * 120, (row + 1) * 120);
          const token = content.tokens[at]![place]!;
          if (own.every((one) => one <= own[token]!)) right++;
          tokens++;
          return surprise(own, token);
        });
        if (right - before === places.length) whole++;
        expect(together[at]).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / losses.length, 5);
      }
      const choices = await scoreChoices(engine, language, stream, content);
      expect(choices).toMatchObject({ tokens, accuracy: right / tokens, whole });
    });
  });
});

test('the share of images’ rows leaves padding out', () => {
  const sizes = [
    [3, 2],
    [5, 3],
  ] as const;
  expect(imageShareOf(dialogues(sizes, 40), IMAGE)).toBe(32 / 51);
});

describe('padding', () => {
  const sizes = [
    [3, 2],
    [3, 2],
    [3, 2],
  ] as const;

  test('changes neither losses nor statistics', async () => {
    await withResources(async (own) => {
      const [plain, padded] = [dialogues(sizes), dialogues(sizes, 24 + 7)];
      const bare = await embedSamples(own, engine, language, plain);
      const wide = await embedSamples(own, engine, language, padded);
      expect(bare.padding).toBeUndefined();
      const [a, b] = [
        await runDense(engine, language, bare, bare, silent),
        await runDense(engine, language, wide, wide, silent),
      ];
      await own(a.trace!.store);
      await own(b.trace!.store);
      for (const [i, loss] of a.nll.entries()) expect(b.nll[i]).toBeCloseTo(loss, 6);
      for (const [block, sums] of a.squareSums.entries()) {
        for (const [site, values] of Object.entries(sums)) {
          for (const [j, value] of values.entries())
            expect(Math.abs(b.squareSums[block]![site]![j]! / value - 1)).toBeLessThan(1e-5);
        }
      }
      // And the logits of real rows.
      const [x, y] = [
        await own(runBlocks(engine, language, bare, silent)),
        await own(runBlocks(engine, language, wide, silent)),
      ];
      const [p, q] = [await x.read(0), await y.read(0)];
      for (let w = 0; w < 3; w++) {
        for (let i = 0; i < 24 * 32; i++)
          expect(Math.abs(p[w * 24 * 32 + i]! - q[w * 31 * 32 + i]!)).toBeLessThan(1e-5);
      }
      const some = await takeEvenly(own, wide, 2);
      expect(some.content).toMatchObject({ counts: [1, 1], lengths: [24, 24] });
      expect(some.padding).toBeDefined();
    });
  });

  test('changes neither the file nor the error of a block', async () => {
    await withResources(async (own) => {
      const results = [];
      for (const length of [24, 31]) {
        const samples = await embedSamples(own, engine, language, dialogues(sizes, length));
        const { trace } = await runDense(engine, language, samples, undefined, silent);
        await own(trace!.store);
        const out = join(root, `padded-${length}`);
        const plan = planOf(language, () => 0.5, ROW);
        const common = { engine, model: language, operator, plan, trace, dir: out, onProgress: silent };
        results.push(await pruneSequentially({ ...common, calibration: samples, validation: samples }));
      }
      const [a, b] = results;
      for (let block = 0; block < language.config.blocks; block++) {
        const [one, two] = [24, 31].map((length) => readFile(blockPath(join(root, `padded-${length}`), block)));
        expect((await one)!.equals((await two)!)).toBe(true);
      }
      for (const [i, loss] of a!.nll.entries()) expect(b!.nll[i]).toBeCloseTo(loss, 5);
      for (const [i, error] of a!.errors.entries()) expect(b!.errors[i]).toBeCloseTo(error, 5);
    });
  });

  test('is refused by a measure that looks at the residual as it is', async () => {
    await withResources(async (own) => {
      const samples = await embedSamples(own, engine, language, dialogues(sizes, 31));
      await expect(runDense(engine, language, undefined, samples, silent, [], () => {})).rejects.toMatchObject({
        code: 'E_UNSUPPORTED_PADDING',
      });
    });
  });
});

test('statistics of a whole Gram matrix, and losses of perturbed weights, are of either trunk', async () => {
  const sizes = [
    [3, 2],
    [5, 3],
  ] as const;
  const written: Float32Array[] = [];
  for (const [trunk, length] of [
    ['language', 27],
    ['language', 31],
    ['vision', 27],
  ] as const) {
    const model = trunk === 'vision' ? vision : language;
    await withResources(async (own) => {
      const samples = await embedSamples(own, engine, model, dialogues(sizes, length));
      const out = join(root, `sparsegpt-${trunk}-${length}`);
      const plan = planOf(model, () => 0.5, ROW);
      const common = { engine, model, operator: findCriterion('sparsegpt'), plan, trace: undefined };
      const streams = { calibration: samples, validation: samples, dir: out, onProgress: silent };
      const { nll } = await pruneSequentially({ ...common, ...streams });
      expect(nll.every(Number.isFinite)).toBe(true);
      const evidence = await measureEvidence(engine, model, common.operator, 0, samples.embedded, samples);
      expect(evidence).toMatchObject({ sequences: 2, tokens: trunk === 'vision' ? 34 : 51 });
      const last = model.linears.at(-1)!.at(-1)!;
      const read = await readBlockFile(model, blockPath(out, last.block));
      written.push(toFloat32(await read(weightName(last)), 'F32'));
      const gradients = await measureGradients(engine, model, samples, 0, silent);
      expect(gradients).toHaveLength(model.linears.flat().length);
      for (const one of gradients) expect(one).toBeGreaterThan(0);
    });
  }
  // Padding changes rounding alone.
  const [a, b] = written;
  for (const [i, value] of a!.entries()) expect(Math.abs(value - b![i]!)).toBeLessThan(1e-4);
});

describe('refuses', () => {
  test('another number of image tokens than rows, with both numbers', async () => {
    const content = dialogues([[3, 2]]);
    content.tokens[0]![4] = 5;
    await expect(checkDialogues(language, content)).rejects.toMatchObject({
      code: 'E_OPTION_IMAGE_TOKENS',
      message: expect.stringMatching(/15 image tokens \(119\).*1 image\(s\) make 16 rows/),
    });
    await expect(lossOf(vision, content)).rejects.toThrow(/15 image tokens/);
  });

  test('samples without an answer, without an image in the vision trunk, and samples that would be cut', async () => {
    await expect(checkDialogues(language, dialogues([[3, 0]]))).rejects.toMatchObject({ code: 'E_OPTION_ANSWER' });
    const text = { ...dialogues([[3, 2]]), counts: [0], images: imagesOf(0), tokens: [Int32Array.of(1, 2, 3, 4)] };
    const plain = { ...text, length: 4, lengths: [4], answers: [Int32Array.of(3)] };
    expect(await lossOf(language, plain)).toHaveLength(1);
    await expect(lossOf(vision, plain)).rejects.toMatchObject({ code: 'E_UNSUPPORTED_DIALOGUE' });
    expect(() => dialogues([[3, 2]], 20)).toThrow(/24 tokens, more than 20/);
  });

  test('the vision trunk of several layers, whose language model runs', async () => {
    const wide = await writeGoldenModel(readVisionGolden('llava-mistral'), join(root, 'mistral'));
    const content = dialogues([[3, 2]]);
    expect(await lossOf(await openModel(wide), content)).toHaveLength(1);
    await expect(lossOf(await openModel(wide, undefined, 'vision'), content)).rejects.toThrow(/after blocks 1 and 2/);
  });
});

describe.each(['language', 'vision'] as const)('pruning the %s trunk', (trunk) => {
  test('takes the planned zeros from its own linears, and nothing else', async () => {
    const model = trunk === 'vision' ? vision : language;
    const other = trunk === 'vision' ? language : vision;
    const content = dialogues([
      [3, 2],
      [5, 4],
      [2, 1],
    ]);
    const out = join(root, `pruned-${trunk}`);
    const blocks = join(root, `blocks-${trunk}`);
    await mkdir(out);
    await withResources(async (own) => {
      const samples = await embedSamples(own, engine, model, content);
      const dense = await runDense(engine, model, samples, samples, silent);
      await own(dense.trace!.store);
      const reference = await own(runBlocks(engine, model, samples, silent));
      const plan = planOf(model, ({ block }) => (block === 0 ? 0.25 : 0.5), ROW);
      const result = await pruneSequentially({
        ...{ engine, model, operator, plan, reference, trace: dense.trace },
        ...{ calibration: samples, validation: samples, dir: blocks, onProgress: silent },
      });
      expect(result.nll).toHaveLength(3);
      expect(result.nll).not.toEqual(dense.nll);
      for (const one of [...result.divergences!, ...result.errors]) expect(one).toBeGreaterThan(1e-6);
      const files = await Promise.all(model.linears.map((_, block) => openBlockFile(model, blockPath(blocks, block))));
      const own_ = new Map(
        model.linears.flatMap((linears, block) => linears.map((one) => [weightName(one), files[block]!])),
      );
      await writeCheckpoint(model.checkpoint, out, (name) => own_.get(name)?.(name));

      const written = await openCheckpoint(out);
      for (const name of model.checkpoint.tensors.keys()) {
        const [before, after] = [await readTensor(model.checkpoint, name), await readTensor(written, name)];
        if (!own_.has(name)) expect(after, name).toEqual(before);
      }
      for (const { block, rows, columns, name } of linearUnits(model).map((unit) => ({
        ...unit,
        ...model.linears.flat().find((one) => one.name === unit.id)!,
      }))) {
        const values = toFloat32(await readTensor(written, `${name}.weight`), 'F32');
        const zeros = values.filter((value) => value === 0).length;
        expect(zeros, name).toBe(rows * Math.floor(columns * (block === 0 ? 0.25 : 0.5)));
      }

      // The written checkpoint scores as the run did, and through the other trunk as well.
      const pruned = await openTrunk(written, trunk);
      const again = await lossOf(pruned, content);
      for (const [i, loss] of result.nll.entries()) expect(again[i]).toBeCloseTo(loss, 5);
      const through = await lossOf(await openTrunk(written, other.trunk), content);
      for (const [i, loss] of result.nll.entries()) expect(through[i]).toBeCloseTo(loss, 5);
      // A trunk of the dense checkpoint with the other one of the pruned.
      const mixed = await lossOf(other, { ...content, [trunk]: pruned });
      for (const [i, loss] of result.nll.entries()) expect(mixed[i]).toBeCloseTo(loss, 5);
    });
  });
});

test('divergences are those of the answers, and the same through both trunks', async () => {
  const content = dialogues([
    [3, 2],
    [5, 4],
  ]);
  const golden2 = await writeGoldenModel(golden, join(root, 'moved'), {
    change: (name, values) => void (name.includes('encoder.layers.0.mlp.fc2.weight') && values.fill(0)),
  });
  const edited = await openModel(golden2, undefined, 'vision');
  await withResources(async (own) => {
    const run = async (model: Model, about: Dialogues) => {
      const samples = await embedSamples(own, engine, model, about);
      return await own(runBlocks(engine, model, samples, silent));
    };
    const byVision = [await run(edited, content), await run(vision, content)] as const;
    const byLanguage = [await run(language, { ...content, vision: edited }), await run(language, content)] as const;
    const one = await compareStreams(engine, vision, ...byVision, { content });
    const two = await compareStreams(engine, language, ...byLanguage, { content });
    expect(one.counts).toEqual([2, 4]);
    const [a, b] = [summariseFidelity(one), summariseFidelity(two)];
    expect(a).toMatchObject({ windows: 2, tokens: 6 });
    const [scored] = await scoreDivergences(engine, language, [byLanguage[0]], byLanguage[1], content);
    for (const [i, value] of a.divergence.entries()) {
      expect(value).toBeGreaterThan(1e-4);
      expect(value).toBeCloseTo(b.divergence[i]!, 5);
      expect(value).toBeCloseTo(scored![i]!, 5);
    }
  });
});

test('a LLaVA on text is its language model', async () => {
  const alone = join(root, 'alone');
  await mkdir(alone);
  const tensors = [...language.checkpoint.tensors.values()].filter(({ name }) => name.startsWith('language_model.'));
  await writeSafetensors(
    join(alone, 'model.safetensors'),
    tensors.map(({ name, dtype, shape }) => ({
      ...{ name: name.replace('language_model.', ''), dtype, shape },
      read: async () => await readTensor(language.checkpoint, name),
    })),
    { format: 'pt' },
  );
  await writeFile(join(alone, 'config.json'), JSON.stringify(golden.config.text_config));
  const extracted = await openModel(alone);
  const windows = { length: 6, windows: [Int32Array.of(1, 7, 8, 9, 10, 11), Int32Array.of(5, 4, 3, 2, 1, 0)] };
  await withResources(async (own) => {
    const run = async (model: Model): Promise<number[]> => {
      const samples = await embedSamples(own, engine, model, windows);
      return await scoreSamples(engine, model, await own(runBlocks(engine, model, samples, silent)), windows);
    };
    expect(await run(language)).toEqual(await run(extracted));
  });
});
