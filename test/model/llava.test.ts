// Models of an image and a text against transformers (test/golden/vision): the residual of both trunks after every block, the rows that
// an image becomes, the logits; and what is refused.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import {
  headGraph,
  type Model,
  openConnector,
  openModel,
  openTrunk,
  readModelConfig,
  residualShape,
} from '../../src/model/index.js';
import {
  type Activations,
  type Dialogues,
  embedSamples,
  type Images,
  passBlock,
  projectImages,
  sameShape,
} from '../../src/stream/index.js';
import { goldenPixels, goldenTensors, readVisionGolden, writeGoldenModel } from '../vision-golden.js';

const TOLERANCE = 2e-4;
const FAMILIES = ['llava', 'llava-mistral', 'llava-qwen2', 'idefics3', 'smolvlm'];

let root: string;
let ort: Engine;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'layerwise-llava-'));
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await ort.close();
  await rm(root, { recursive: true, force: true });
});

const engineOf = (name: string): Engine => (name === 'ort' ? ort : createReferenceEngine());

function imagesOf(vision: Model, shape: readonly number[] | undefined): Images {
  const [channels, height, width] = (shape ?? [1, 3, 32, 32]).slice(-3) as [number, number, number];
  const size = channels * height * width;
  const values = shape ? goldenPixels(shape) : new Float32Array();
  const count = values.length / size;
  const pixels = Array.from({ length: count }, (_, n) => values.subarray(n * size, (n + 1) * size));
  const { length } = residualShape(vision.config, -1, 0);
  return { length, height, width, pixels, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
}

/** One sample whose last token is the answer. */
function dialogueOf(ids: readonly number[], images: Images): Dialogues {
  return {
    length: ids.length,
    tokens: [Int32Array.from(ids)],
    lengths: [ids.length],
    answers: [Int32Array.of(ids.length - 1)],
    images,
    counts: [images.pixels.length],
  };
}

type Corners = { readonly rows: readonly (readonly number[])[] };

async function expectResidual(stream: Activations, { rows }: Corners): Promise<void> {
  const data = await stream.read(0);
  const { length: T, width: D } = stream;
  for (const [i, row] of [0, 1, T - 1].entries()) expectNear(data.subarray(row * D, row * D + 8), rows[i]!);
}

function expectNear(got: ArrayLike<number>, wanted: readonly number[]): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(TOLERANCE);
}

const trunksOf = async (dir: string): Promise<{ vision: Model; language: Model }> => {
  const checkpoint = await openCheckpoint(dir);
  return { vision: await openTrunk(checkpoint, 'vision'), language: await openTrunk(checkpoint, 'language') };
};

describe.each(FAMILIES)('%s', (family) => {
  const golden = readVisionGolden(family);
  const cases = [...golden.runs.keys()].flatMap((run) => ['ort', 'reference'].map((name) => [run, name] as const));

  test.each(cases)('run %i on %s gives the residuals, features and logits of transformers', async (at, name) => {
    const { input, residuals, outputs, logitRows } = golden.runs[at]!;
    const engine = engineOf(name);
    const { vision, language } = await trunksOf(await writeGoldenModel(golden, join(root, family)));
    const images = imagesOf(vision, input.pixels);
    const content = dialogueOf(input.ids![0]!, images);
    await withResources(async (own) => {
      if (input.pixels) {
        // Of the trunk's blocks, those that are read: a block behind them is not part of it.
        const { embedded } = await embedSamples(own, engine, vision, images);
        const stream = await own(sameShape(embedded));
        for (const [place, wanted] of residuals.vision!.slice(0, vision.config.blocks + 1).entries()) {
          if (place > 0) await passBlock(engine, vision, place - 1, [[place === 1 ? embedded : stream, stream]]);
          await expectResidual(place === 0 ? embedded : stream, wanted);
        }
        const { rows } = await projectImages(own, engine, vision, images);
        expectNear(await rows.read(0), outputs.image_features!.flat());
      }
      const { embedded } = await embedSamples(own, engine, language, content);
      const stream = await own(sameShape(embedded));
      for (const [place, wanted] of residuals.language!.entries()) {
        if (place > 0) await passBlock(engine, language, place - 1, [[place === 1 ? embedded : stream, stream]]);
        await expectResidual(place === 0 ? embedded : stream, wanted);
      }
      const session = await own(engine.load(headGraph(language, 'logits')));
      const [data, D] = [await stream.read(0), stream.width];
      for (const [row, wanted] of Object.entries(logitRows!)) {
        const x = { type: 'f32', shape: [1, D], data: data.slice(Number(row) * D, (Number(row) + 1) * D) } as const;
        expectNear((await session.run({ x })).logits!.data as Float32Array, wanted);
      }
    });
  });

  test('opens under every name that files have', async () => {
    for (const [i, rename] of (golden.renames ?? []).entries()) {
      const dir = await writeGoldenModel(golden, join(root, `${family}-${i}`), { rename });
      const { vision, language } = await trunksOf(dir);
      const images = imagesOf(vision, golden.runs[0]!.input.pixels);
      await withResources(async (own) => {
        const content = dialogueOf(golden.runs[0]!.input.ids![0]!, images);
        const { embedded } = await embedSamples(own, ort, language, content);
        await expectResidual(embedded, golden.runs[0]!.residuals.language![0]!);
      });
    }
  });
});

describe('a trunk', () => {
  const golden = readVisionGolden('llava');
  const rowsOf = async (dir: string): Promise<Float32Array> =>
    await withResources(async (own) => {
      const vision = await openModel(dir, undefined, 'vision');
      const { rows } = await projectImages(own, ort, vision, imagesOf(vision, golden.runs[0]!.input.pixels));
      return (await rows.read(0)).slice();
    });

  test('ends with the block whose output is read; those behind it change nothing and need not be there', async () => {
    const plain = await writeGoldenModel(golden, join(root, 'plain'));
    const vision = await openModel(plain, undefined, 'vision');
    expect(vision.config).toMatchObject({ blocks: 2, image: { dead: 1, features: [2], head: 'features' } });
    expect(vision.linears).toHaveLength(2);
    expect(vision.notes).toEqual([expect.stringMatching(/^Block 2 of the vision trunk: nothing reads/)]);
    const isDead = (name: string): boolean => name.startsWith('vision_tower.encoder.layers.2.');
    const zeroed = await writeGoldenModel(golden, join(root, 'zeroed'), {
      change: (name, values) => void (isDead(name) && values.fill(0)),
    });
    const absent = await writeGoldenModel(golden, join(root, 'absent'), {
      change: (name) => (isDead(name) ? false : undefined),
    });
    const expected = await rowsOf(plain);
    expect(await rowsOf(zeroed)).toEqual(expected);
    expect(await rowsOf(absent)).toEqual(expected);
    const live = await writeGoldenModel(golden, join(root, 'live'), {
      change: (name, values) => void (name.startsWith('vision_tower.encoder.layers.1.mlp.fc2.w') && values.fill(0)),
    });
    expect(await rowsOf(live)).not.toEqual(expected);
  });

  test('may be read after another block', async () => {
    const dir = await writeGoldenModel(golden, join(root, 'last'), { config: { vision_feature_layer: -1 } });
    expect((await openModel(dir, undefined, 'vision')).config).toMatchObject({ blocks: 3, image: { dead: 0 } });
    const first = await writeGoldenModel(golden, join(root, 'first'), { config: { vision_feature_layer: 1 } });
    expect((await openModel(first, undefined, 'vision')).config).toMatchObject({ blocks: 1, image: { dead: 2 } });
  });

  test('keeps the class token where config.json says full', async () => {
    const dir = await writeGoldenModel(golden, join(root, 'full'), {
      config: { vision_feature_select_strategy: 'full' },
    });
    expect(openConnector(await openModel(dir, undefined, 'vision')).rows).toBe(17);
  });

  test.each([
    [{ mm_projector_type: 'mlp2x_gelu' }, 'language', /mm_projector_type.*llava-hf/],
    [{ model_type: 'llava_llama', mm_vision_tower: 'openai/clip' }, 'language', /mm_vision_tower.*llava-hf/],
    [{ vision_feature_layer: 9 }, 'vision', /vision_feature_layer.*3 blocks/],
    [{ vision_feature_layer: 0 }, 'vision', /vision_feature_layer/],
    [{ vision_feature_layer: 'last' }, 'vision', /vision_feature_layer/],
    [{ vision_feature_select_strategy: 'patch' }, 'connector', /vision_feature_select_strategy.*default, full/],
    [{ projector_hidden_act: 'mish' }, 'connector', /projector_hidden_act.*mish/],
    [{ image_token_index: 120 }, 'connector', /image_token_index.*below 120/],
    [
      { text_config: { ...(golden.config.text_config as object), model_type: 'gemma' } },
      'language',
      /text_config\.model_type.*llama, mistral, qwen2/,
    ],
    [
      { vision_config: { ...(golden.config.vision_config as object), model_type: 'eva' } },
      'vision',
      /vision_config\.model_type.*eva/,
    ],
  ] as const)('refuses %o', async (config, what, message) => {
    const dir = await writeGoldenModel(golden, join(root, 'refused'), { config });
    const open = async (): Promise<unknown> =>
      what === 'connector'
        ? openConnector(await openModel(dir, undefined, 'vision'))
        : await openModel(dir, undefined, what);
    await expect(open()).rejects.toThrow(message);
  });

  test.each([
    [19, /image_size is 152, .*transformers misplaces some; here are 19/],
    [4, undefined],
  ])('of Idefics3 with %i patches a side, which transformers may misplace', async (side, message) => {
    const { config, ...rest } = readVisionGolden('idefics3');
    const tensors = rest.tensors.map(([name, shape]): [string, readonly number[]] => {
      if (name.endsWith('position_embedding.weight')) return [name, [side * side, 48]];
      return name.endsWith('modality_projection.proj.weight') ? [name, [32, 48]] : [name, shape];
    });
    const sized = { ...(config.vision_config as object), image_size: 8 * side };
    const dir = await writeGoldenModel({ ...rest, config, tensors }, join(root, `side-${side}`), {
      config: { vision_config: sized, scale_factor: 1 },
    });
    const vision = await openModel(dir, undefined, 'vision');
    if (message) expect(() => openConnector(vision)).toThrow(message);
    else expect(openConnector(vision).rows).toBe(side * side);
  });

  test('is refused where a tensor of the projector is missing or has another shape', async () => {
    const dir = await writeGoldenModel(golden, join(root, 'no-projector'), {
      change: (name) => (name === 'multi_modal_projector.linear_2.bias' ? false : undefined),
    });
    const vision = await openModel(dir, undefined, 'vision');
    expect(() => openConnector(vision)).toThrow(/multi_modal_projector\.linear_2\.bias is missing/);
    const wide = await writeGoldenModel(golden, join(root, 'wide'), { config: { vision_feature_layer: [-3, -2] } });
    const other = await openModel(wide, undefined, 'vision');
    expect(() => openConnector(other)).toThrow(/linear_1\.weight has shape \[32,48\]; config.json requires \[32,96\]/);
  });

  test.each([
    [
      'llava-hf/llava-1.5-7b-hf',
      {
        ...{ model_type: 'llava', image_token_index: 32000, projector_hidden_act: 'gelu', vision_feature_layer: -2 },
        text_config: {
          ...{ max_position_embeddings: 4096, model_type: 'llama', rms_norm_eps: 1e-5, torch_dtype: 'float16' },
          vocab_size: 32064,
        },
        vision_config: {
          ...{ hidden_size: 1024, image_size: 336, intermediate_size: 4096, model_type: 'clip_vision_model' },
          ...{ num_attention_heads: 16, num_hidden_layers: 24, patch_size: 14, projection_dim: 768, vocab_size: 32000 },
        },
        ...{ vision_feature_select_strategy: 'default', vocab_size: 32064, tie_word_embeddings: false },
      },
      { blocks: 32, hidden: 4096, stated: { intermediate: 11008, kvHeads: 32 }, maxPositions: 4096, vocabulary: 32064 },
      { blocks: 23, hidden: 1024, activation: 'quick_gelu', image: { dead: 1, table: [24, 24] } },
    ],
    [
      'SmolVLM',
      {
        ...{ model_type: 'smolvlm', image_token_id: 49190, scale_factor: 4, tie_word_embeddings: false },
        text_config: {
          ...{ model_type: 'llama', hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, head_dim: 64 },
          ...{ num_attention_heads: 9, num_key_value_heads: 3, vocab_size: 49280, rope_theta: 100000 },
          max_position_embeddings: 8192,
        },
        vision_config: {
          ...{
            hidden_size: 768,
            image_size: 512,
            model_type: 'smolvlm_vision',
            num_attention_heads: 12,
            patch_size: 16,
          },
          tie_word_embeddings: false,
        },
      },
      { blocks: 30, hidden: 576, stated: { kvHeads: 3 }, vocabulary: 49280 },
      {
        blocks: 12,
        hidden: 768,
        stated: { intermediate: 3072 },
        activation: 'gelu_tanh',
        image: { dead: 0, table: [32, 32] },
      },
    ],
  ] as const)('of a config that leaves out what transformers has by default: %s', (_, config, language, vision) => {
    expect(readModelConfig(config, 'language')).toMatchObject(language);
    expect(readModelConfig(config, 'vision')).toMatchObject(vision);
  });

  test('opens the language model where nothing is said, and names its trunks', async () => {
    const dir = await writeGoldenModel(golden, join(root, 'plain'));
    expect(await openModel(dir)).toMatchObject({ trunk: 'language', trunks: ['vision', 'language'] });
    await expect(openModel(dir, undefined, 'text')).rejects.toThrow(/no trunk text/);
    expect(goldenTensors(golden).size).toBe(80);
  });
});
