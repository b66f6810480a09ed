// CLIP and SigLIP against transformers: the residuals of both towers, the vectors of images and texts, and their logits, on weights,
// pixels and tokens that a rule makes (test/golden/vision). What a text's pads change, and files of one tower.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { lowerModel } from '../../src/decoder/lower.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import {
  compareModels,
  compareStreams,
  embedContent,
  logitsPerImage,
  readLogitScale,
  scoreDivergences,
  scoreSamples,
  vectorsOf,
  withClasses,
} from '../../src/evaluate/index.js';
import { blockGraph, type Model, openModel } from '../../src/model/index.js';
import {
  type Content,
  embedSamples,
  passBlock,
  pick,
  sameShape,
  takeEvenly,
  tapFeeds,
} from '../../src/stream/index.js';
import { runChunks } from '../../src/stream/stream.js';
import {
  contentOf,
  corners,
  expectClose,
  failure,
  lastOf,
  open,
  runOf,
  TOLERANCE,
  textsOf,
  useTowers,
  write,
} from '../towers.js';
import { readVisionGolden, type WriteGoldenOptions } from '../vision-golden.js';

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());
useTowers();

describe.each(['clip', 'siglip'])('%s', (family) => {
  const run = runOf(family);

  test.each(['ort', 'reference'] as const)(
    'on %s has the residuals, vectors and logits of transformers',
    async (name) => {
      const engine = name === 'ort' ? ort : createReferenceEngine();
      const [vision, text] = [await open(family, 'vision'), await open(family, 'text')];
      for (const [trunk, model] of [['vision', vision] as const, ['text', text] as const]) {
        await withResources(async (own) => {
          const { embedded } = await embedSamples(own, engine, model, contentOf(model, run));
          const stream = await own(sameShape(embedded));
          for (const [place, { rows, shape }] of run.residuals[trunk]!.entries()) {
            if (place > 0) await passBlock(engine, model, place - 1, [[place === 1 ? embedded : stream, stream]]);
            const at = place === 0 ? embedded : stream;
            expect([at.chunks[0], at.length, at.width]).toEqual(shape);
            const got = await corners(at);
            for (const [row, wanted] of rows.entries()) expectClose(got[row]!, wanted);
          }
          const { values } = await vectorsOf(engine, model, stream);
          expectClose(values, run.outputs[trunk === 'vision' ? 'image_embeds' : 'text_embeds']!.flat());
        });
      }
      const images = await embedContent(engine, vision, contentOf(vision, run));
      const texts = await embedContent(engine, text, contentOf(text, run));
      const logits = logitsPerImage(images, texts, await readLogitScale(vision.checkpoint));
      expectClose(logits, run.outputs.logits_per_image!.flat());
    },
  );

  test('scores images against classes of texts, and texts against classes of images', async () => {
    const trunks = [await open(family, 'vision'), await open(family, 'text')] as const;
    const scale = await readLogitScale(trunks[0].checkpoint);
    const logits = run.outputs.logits_per_image!;
    for (const [at, model] of trunks.entries()) {
      const other = trunks[1 - at]!;
      const labels = ['one', 'other'];
      const classes = withClasses(model, await embedContent(ort, other, contentOf(other, run)), labels, scale);
      expect(classes.config.vocabulary).toBe(2);
      await withResources(async (own) => {
        const content = { ...contentOf(model, run), labels: Int32Array.of(1, 0) };
        const last = await lastOf(own, ort, model, content);
        const rows = [0, 1].map((i) => (at === 0 ? logits[i]! : logits.map((row) => row[i]!)));
        const nll = rows.map((row, i) => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[1 - i]!);
        expectClose(await scoreSamples(ort, classes, last, content), nll, 1e-3);
        const [[...same]] = (await scoreDivergences(ort, classes, [last], last)) as [number[]];
        expectClose(same, [0, 0], 1e-6);
        const { choice } = await compareStreams(ort, classes, last, last);
        expect([...choice]).toEqual(rows.map((row) => row.indexOf(Math.max(...row))));
        expect(
          (await compareModels(ort, { model: classes, stream: last }, { model: classes, stream: last })).choice,
        ).toEqual(choice);
        const unlabelled = await failure(scoreSamples(ort, classes, last, contentOf(model, run)));
        expect(unlabelled.code).toBe('E_OPTION_LABELS');
        // A subset reads the same rows.
        const second = await takeEvenly(own, await embedSamples(own, ort, model, pick(content, [1])), 1);
        expect(second.embedded.ends?.[0]).toBe(last.ends?.[1]);
      });
    }
  });

  test('has no logits without classes', async () => {
    const model = await open(family, 'vision');
    await withResources(async (own) => {
      const content = { ...contentOf(model, run), labels: Int32Array.of(1, 0) };
      const last = await lastOf(own, ort, model, content);
      const { code, message } = await failure(scoreSamples(ort, model, last, content));
      expect([code, message]).toEqual(['E_UNSUPPORTED_HEAD', expect.stringContaining('--classes')]);
    });
  });

  test('has six linears to prune in a block of either tower', async () => {
    for (const trunk of ['vision', 'text'] as const) {
      const { linears, config, checkpoint } = await open(family, trunk);
      expect(linears.length).toBe(2);
      const [D, F] = [config.hidden, config.stated.intermediate];
      const base = `${trunk}_model.encoder.layers.1.`;
      expect(linears[1]!.map(({ name, rows, columns, site }) => [name, rows, columns, site])).toEqual([
        ...['q_proj', 'k_proj', 'v_proj'].map((name) => [`${base}self_attn.${name}`, D, D, 'attention_in']),
        [`${base}self_attn.out_proj`, D, D, 'attention_out'],
        [`${base}mlp.fc1`, F, D, 'mlp_in'],
        [`${base}mlp.fc2`, D, F, 'mlp_out'],
      ]);
      for (const { name, rows, columns } of linears.flat())
        expect(checkpoint.tensors.get(`${name}.weight`)!.shape).toEqual([rows, columns]);
    }
  });
});

/** Σ x² of every site of block 0, as the statistics have them. */
async function squares(model: Model, content: Content): Promise<Record<string, Float32Array>> {
  return await withResources(async (own) => {
    const { embedded, padding } = await embedSamples(own, ort, model, content);
    const weighted = padding !== undefined;
    const graph = blockGraph(model, 0, { length: embedded.length, outputs: 'taps', weighted });
    const outputs = await runChunks(await own(ort.load(graph)), tapFeeds(embedded, 0, padding), 0);
    return Object.fromEntries(Object.entries(outputs).map(([site, { data }]) => [site, data as Float32Array]));
  });
}

test('the statistics of a tower are over all rows of its images, the class token among them', async () => {
  const model = await open('clip', 'vision');
  const content = contentOf(model, runOf('clip'));
  const taps = await squares(model, content);
  await withResources(async (own) => {
    const { embedded } = await embedSamples(own, ort, model, content);
    const graph = blockGraph(model, 0, { length: embedded.length, outputs: 'inputs' });
    const inputs = await runChunks(await own(ort.load(graph)), { x: { from: embedded } }, 0);
    expect(Object.keys(inputs).toSorted()).toEqual(Object.keys(taps).toSorted());
    for (const [site, { data, shape }] of Object.entries(inputs)) {
      const [N, width] = shape as [number, number];
      expect(N).toBe(2 * 17);
      const sums = Array.from({ length: width }, (_, j) => {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += (data as Float32Array)[n * width + j]! ** 2;
        return sum;
      });
      for (const [j, sum] of sums.entries()) expect(Math.abs(taps[site]![j]! / sum - 1)).toBeLessThan(1e-5);
    }
  });
});

describe('texts of CLIP', () => {
  const ids = [
    [97, 5, 6, 7, 98, 98],
    [97, 9, 10, 98, 98, 98],
  ];

  test('are read at their end token, and what follows it changes nothing', async () => {
    const model = await open('clip', 'text');
    const plain = await embedContent(ort, model, textsOf(ids));
    const other = textsOf([
      [97, 5, 6, 7, 98, 3, 98, 44],
      [97, 9, 10, 98, 1, 2, 3, 4],
    ]);
    expectClose((await embedContent(ort, model, other)).values, [...plain.values], 1e-6);
    const [a, b] = [await squares(model, textsOf(ids)), await squares(model, other)];
    for (const [site, sums] of Object.entries(a)) expectClose(b[site]!, [...sums], 1e-4);
    // Without pads, a text is as it is among others.
    const alone = await embedContent(ort, model, textsOf([[97, 9, 10, 98]]));
    expectClose(alone.values, [...plain.values.subarray(24)], 1e-6);
    const single = await squares(model, textsOf([[97, 9, 10, 98]]));
    const padded = await squares(model, textsOf([ids[1]!]));
    for (const [site, sums] of Object.entries(single)) expectClose(padded[site]!, [...sums], 1e-4);
  });

  test('are read at their largest token where an old file says that the end is token 2', async () => {
    const part = readVisionGolden('clip').config.text_config as object;
    const old = await open('clip', 'text', { config: { text_config: { ...part, eos_token_id: 2 } } });
    const plain = await open('clip', 'text');
    const wanted = await embedContent(ort, plain, textsOf(ids));
    expect((await embedContent(ort, old, textsOf(ids))).values).toEqual(wanted.values);
    // Token 2 itself is a token like others.
    const two = textsOf([[97, 2, 6, 7, 98, 98]]);
    expect((await embedContent(ort, old, two)).values).toEqual((await embedContent(ort, plain, two)).values);
  });

  test('without an end, or too long, are refused', async () => {
    const model = await open('clip', 'text');
    const none = await failure(embedContent(ort, model, textsOf([ids[0]!, [97, 9, 10, 11, 12, 13]])));
    expect([none.code, none.message]).toEqual([
      'E_OPTION_TEXT_END',
      expect.stringContaining('Text 1 has no end token (98)'),
    ]);
    const long = await failure(embedContent(ort, model, textsOf([Array(17).fill(98)])));
    expect(long.code).toBe('E_OPTION_TEXT_LENGTH');
  });
});

test('pads of SigLIP are read: they change its vectors, and a text without them is refused', async () => {
  const model = await open('siglip', 'text');
  const { ids } = runOf('siglip').input;
  const plain = await embedContent(ort, model, textsOf(ids!));
  const other = await embedContent(ort, model, textsOf(ids!.map((row) => row.map((id) => (id === 1 ? 2 : id)))));
  expect(Math.max(...plain.values.map((x, i) => Math.abs(x - other.values[i]!)))).toBeGreaterThan(0.01);
  const short = await failure(embedContent(ort, model, textsOf(ids!.map((row) => row.slice(0, 8)))));
  expect([short.code, short.message]).toEqual(['E_OPTION_TEXT_LENGTH', expect.stringContaining('16, pads included')]);
  await withResources(async (own) => {
    expect((await embedSamples(own, ort, model, textsOf(ids!))).padding).toBeUndefined();
  });
});

describe('files of one tower', () => {
  /** Only the tensors of a tower, with its part of config.json as the whole. */
  const towerOnly = (family: string, trunk: 'vision' | 'text', keep: (name: string) => boolean, config = {}) => {
    const part = readVisionGolden(family).config[`${trunk}_config`] as object;
    const rest = Object.keys(readVisionGolden(family).config).map((key) => [key, undefined] as const);
    const renamed = { ...Object.fromEntries(rest), ...part, ...config };
    return write(family, { config: renamed, change: (name) => keep(name) });
  };

  test.each([
    ['clip', 'vision', 'visual_projection.weight'],
    ['clip', 'text', 'text_projection.weight'],
    ['siglip', 'vision', ''],
    ['siglip', 'text', ''],
  ] as const)('%s: the %s tower with its projection gives the same vectors', async (family, trunk, projection) => {
    const keep = (name: string): boolean => name.startsWith(`${trunk}_model.`) || name === projection;
    const model = await openModel(await towerOnly(family, trunk, keep, { projection_dim: 24 }));
    expect([model.trunk, model.trunks, model.notes]).toEqual([undefined, [], []]);
    const { values } = await embedContent(ort, model, contentOf(model, runOf(family)));
    expectClose(values, runOf(family).outputs[trunk === 'vision' ? 'image_embeds' : 'text_embeds']!.flat());
  });

  test.each(['vision', 'text'] as const)(
    'a %s tower of CLIP without its projection has residuals and no vectors',
    async (trunk) => {
      const model = await openModel(await towerOnly('clip', trunk, (name) => name.startsWith(`${trunk}_model.`)));
      const content = contentOf(model, runOf('clip'));
      await withResources(async (own) => {
        const golden = runOf('clip').residuals[trunk]!.at(-1)!;
        const got = await corners(await lastOf(own, ort, model, content));
        for (const [row, wanted] of golden.rows.entries()) expectClose(got[row]!, wanted);
      });
      expect((await failure(embedContent(ort, model, content))).code).toBe('E_UNSUPPORTED_HEAD');
    },
  );

  test('write no text', async () => {
    const whole = await open('clip', 'text');
    const bare = await openModel(await towerOnly('clip', 'text', (name) => name.startsWith('text_model.')));
    for (const { config, tensorNames } of [whole, bare])
      expect(() => lowerModel(config, tensorNames, () => false)).toThrow('reads whole texts and writes none');
  });

  test('a tower of SigLIP says in config.json that it pools nothing', async () => {
    const keep = (name: string): boolean => name.startsWith('vision_model.') && !name.includes('.head.');
    const bare = await openModel(await towerOnly('siglip', 'vision', keep, { vision_use_head: false }));
    expect((await failure(embedContent(ort, bare, contentOf(bare, runOf('siglip'))))).code).toBe('E_UNSUPPORTED_HEAD');
    const missing = await failure(towerOnly('siglip', 'vision', keep).then((dir) => openModel(dir)));
    expect([missing.code, missing.message]).toEqual(['E_CHECKPOINT_MISSING', expect.stringContaining('head.probe')]);
  });
});

describe('config.json', () => {
  const part = (which: 'text_config' | 'vision_config', change: object) => ({
    config: { [which]: { ...(readVisionGolden('clip').config[which] as object), ...change } },
  });

  test.each([
    ['an activation', 'vision', part('vision_config', { hidden_act: 'mish' }), 'hidden_act is "mish"'],
    ['channels', 'vision', part('vision_config', { num_channels: 1 }), 'num_channels is 1'],
    ['an end token', 'text', part('text_config', { eos_token_id: [98] }), 'eos_token_id: expected'],
    [
      'another part',
      'vision',
      { config: { vision_config_dict: { hidden_act: 'gelu' } } },
      'vision_config_dict.hidden_act',
    ],
    ['a classifier', 'vision', { rename: { logit_scale: 'classifier.weight' } }, 'architectures is'],
    [
      'no projection',
      'vision',
      { change: (name: string) => name !== 'visual_projection.weight' },
      'visual_projection.weight is missing',
    ],
    ['another width', 'text', { config: { projection_dim: 25 } }, 'requires [25,32]'],
    ['another trunk', 'language', {}, 'vision, text; there is no trunk language'],
  ] as const)('refuses %s that it cannot follow', async (_, trunk, options, message) => {
    expect((await failure(open('clip', trunk, options as WriteGoldenOptions))).message).toContain(message);
  });

  test('decides between quick_gelu and gelu', async () => {
    const [quick, exact] = [
      await open('clip', 'vision'),
      await open('clip', 'vision', part('vision_config', { hidden_act: 'gelu' })),
    ];
    const vectors = [
      await embedContent(ort, quick, contentOf(quick, runOf('clip'))),
      await embedContent(ort, exact, contentOf(exact, runOf('clip'))),
    ];
    expect(vectors[0]!.values.some((x, i) => Math.abs(x - vectors[1]!.values[i]!) > TOLERANCE)).toBe(true);
  });

  test('an older description of a tower that agrees is no matter', async () => {
    const { config } = await open('clip', 'text', {
      config: { text_config_dict: { hidden_size: 32, projection_dim: 512 } },
    });
    expect(config.hidden).toBe(32);
  });
});
