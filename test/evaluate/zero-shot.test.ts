// Classes of CLIP and SigLIP: names in templates become vectors, and images or texts are scored against them.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { createOrtEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import {
  classifyImages,
  classifyTexts,
  embedContent,
  meanOfGroups,
  parseTemplates,
  scoreSamples,
  TEMPLATES,
  textWindows,
  withClasses,
} from '../../src/evaluate/index.js';
import { cotangentOf, differentiate, type Graph, gradientOf } from '../../src/graph/index.js';
import { headGraph, poolGraph, residualShape } from '../../src/model/index.js';
import { contentOf, expectClose, failure, imagesOf, lastOf, open, runOf, useTowers } from '../towers.js';
import { lcg } from '../vision-golden.js';

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());
useTowers();

test('a class is the mean of its texts, divided by its length', () => {
  const vectors = { count: 4, width: 2, values: Float32Array.of(1, 0, 0.6, 0.8, 0, 1, 0.6, 0.8) };
  const { count, values } = meanOfGroups(vectors, Int32Array.of(0, 1, 0, 1), 2);
  expect(count).toBe(2);
  expectClose(values, [Math.SQRT1_2, Math.SQRT1_2, 0.6, 0.8], 1e-6);
});

/** A tokenizer whose words are numbers of tokens; `ends` says what stands around a text. */
const tokenizerOf = (before: readonly number[], after: readonly number[], padToken: number | undefined) => ({
  padToken,
  encode: (text: string) => Int32Array.from([...before, ...text.split(' ').map(Number), ...after]),
});

describe('names of classes', () => {
  const names = ['5 6 7', '9 10'];

  test('become classes of CLIP: the goldens are those of the names alone', async () => {
    const vision = await open('clip', 'vision');
    const tokenizer = tokenizerOf([97], [98], undefined);
    const model = await classifyImages(ort, vision, { tokenizer, names, templates: ['{}'] });
    expect([model.config.image!.labels, model.config.vocabulary]).toEqual([names, 2]);
    const run = runOf('clip');
    expectClose(model.config.embeds!.classes!.vectors, run.outputs.text_embeds!.flat());
    await withResources(async (own) => {
      const content = { ...contentOf(vision, run), labels: Int32Array.of(0, 1) };
      const last = await lastOf(own, ort, model, content);
      const nll = run.outputs.logits_per_image!.map(
        (row, i) => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[i]!,
      );
      expectClose(await scoreSamples(ort, model, last, content), nll, 1e-3);
    });
    const two = await classifyImages(ort, vision, { tokenizer, names, templates: ['{}', '3 {}'] });
    const text = await open('clip', 'text');
    const each = await embedContent(ort, text, textWindows(text, tokenizer, ['5 6 7', '3 5 6 7', '9 10', '3 9 10']));
    expectClose(
      two.config.embeds!.classes!.vectors,
      [...meanOfGroups(each, Int32Array.of(0, 0, 1, 1), 2).values],
      1e-6,
    );
  });

  test('are padded for SigLIP as tokenizer_config.json says', async () => {
    const vision = await open('siglip', 'vision');
    const pads = (pad: number | undefined) =>
      classifyImages(ort, vision, { tokenizer: tokenizerOf([], [], pad), names, templates: ['{}'] });
    const { embeds } = (await pads(1)).config;
    expectClose(embeds!.classes!.vectors, runOf('siglip').outputs.text_embeds!.flat());
    expect((await failure(pads(undefined))).message).toContain('names no pad_token');
  });

  test('are texts that images classify', async () => {
    const text = await open('clip', 'text');
    const vision = await open('clip', 'vision');
    const run = runOf('clip');
    const images = { ...imagesOf(vision, run), labels: Int32Array.of(1, 0) };
    const given = { tokenizer: tokenizerOf([97], [98], undefined), names: names.toReversed(), templates: ['{}'] };
    const { model, content } = await classifyTexts(ort, text, given, images);
    expect([...content.labels!]).toEqual([0, 1]);
    const logits = run.outputs.logits_per_image!;
    await withResources(async (own) => {
      const last = await lastOf(own, ort, model, content);
      const nll = [1, 0].map((t) => Math.log(logits.reduce((sum, row) => sum + Math.exp(row[t]!), 0)) - logits[t]![t]!);
      expectClose(await scoreSamples(ort, model, last, content), nll, 1e-3);
    });
    const none = await failure(classifyTexts(ort, text, { ...given, names: ['5', '6', '7'] }, images));
    expect([none.code, none.message]).toEqual([
      'E_OPTION_CLASSES',
      expect.stringContaining('No image has the class "7"'),
    ]);
    const { labels: _, ...bare } = images;
    expect((await failure(classifyTexts(ort, text, given, bare))).code).toBe('E_OPTION_LABELS');
  });

  test('are refused where there are none, and may come twice', async () => {
    const vision = await open('clip', 'vision');
    const tokenizer = tokenizerOf([97], [98], undefined);
    const classify = (given: readonly string[]) =>
      classifyImages(ort, vision, { tokenizer, names: given, templates: ['{}'] });
    expect((await failure(classify([]))).code).toBe('E_OPTION_CLASSES');
    expect((await classify(['5', '5'])).config.vocabulary).toBe(2);
  });

  test('too long are refused by name', async () => {
    const text = await open('clip', 'text');
    const tokenizer = tokenizerOf([97], [98], undefined);
    const long = Array(15).fill(4).join(' ');
    expect(() => textWindows(text, tokenizer, ['5', long])).toThrow('has 17 tokens');
    expect(textWindows(text, tokenizer, ['5'], 5).windows).toEqual([Int32Array.of(97, 5, 98, 98, 98)]);
    expect(textWindows(text, tokenizer, ['5']).length).toBe(3);
    expect(() => textWindows(text, tokenizer, ['5 6 7'], 4)).toThrow('reads at most 4 here');
  });
});

/** The derivative of Σ seed·output with respect to some of `x`, by the graph and by differences of the graph's own outputs. */
async function derivatives(
  graph: Graph,
  x: HostTensor & { type: 'f32' },
  more: Record<string, HostTensor>,
  seed: HostTensor & { type: 'f32' },
) {
  const output = graph.outputs[0]!.name;
  return await withResources(async (own) => {
    const forward = await own(ort.load(graph));
    const back = await own(ort.load(differentiate(graph, { seeds: [output], wrt: ['x'], keep: [] })));
    const value = async (data: Float32Array): Promise<number> => {
      const got = (await forward.run({ x: { ...x, data }, ...more }))[output]!.data as Float32Array;
      return got.reduce((sum, y, i) => sum + y * (seed.data as Float32Array)[i]!, 0);
    };
    const outputs = await back.run({ x, ...more, [cotangentOf(output)]: seed });
    const all = outputs[gradientOf('x')]!.data as Float32Array;
    const at = [0, 5, 17, all.length - 1];
    const differences: number[] = [];
    for (const i of at) {
      const [up, down] = [Float32Array.from(x.data as Float32Array), Float32Array.from(x.data as Float32Array)];
      up[i]! += 0.02;
      down[i]! -= 0.02;
      differences.push(((await value(up)) - (await value(down))) / 0.04);
    }
    return [at.map((i) => all[i]!), differences] as const;
  });
}

test.each(['clip', 'siglip'])('%s: the loss of classes and the pooling are differentiated', async (family) => {
  const vision = await open(family, 'vision');
  const run = runOf(family);
  const classes = {
    count: 2,
    width: vision.config.embeds!.width,
    values: Float32Array.from(run.outputs.text_embeds!.flat()),
  };
  const model = withClasses(vision, classes, ['one', 'other'], { factor: 10, shift: 0 });
  const u = lcg(7);
  const random = (shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { type: 'f32', shape, data: Float32Array.from({ length: size }, u) } as const;
  };
  const { hidden } = model.config;
  const target: HostTensor = { type: 'i64', shape: [2, 1], data: BigInt64Array.of(1n, 0n) };
  const [head, byDifference] = await derivatives(
    headGraph(model, 'nll'),
    random([2, hidden]),
    { target },
    random([2, 1]),
  );
  expect(Math.max(...head.map(Math.abs))).toBeGreaterThan(0.01);
  expectClose(head, byDifference, 2e-3);
  const length = residualShape(model.config, -1, 0).length;
  const graph = poolGraph(model, length)!;
  const [pool, also] = await derivatives(graph, random([1, length, hidden]), {}, random([1, 1, hidden]));
  expectClose(pool, also, 2e-3);
});

test('templates are lines with a place for a name', () => {
  expect(TEMPLATES).toEqual(['a photo of a {}.']);
  expect(parseTemplates('a {}.\r\n\nthe {}\n', 'templates.txt')).toEqual(['a {}.', 'the {}']);
  expect(() => parseTemplates('a {}.\na cat\n', 'templates.txt')).toThrow('got "a cat"');
  expect(() => parseTemplates('\n', 'templates.txt')).toThrow('got none');
});
