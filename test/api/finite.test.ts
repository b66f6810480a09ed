// NaN and infinities: those in a checkpoint are told as such whatever comes upon them, and those that rounding would make are
// not written.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { drop, evaluate, inspect, pack, profile, prune } from '../../src/api/index.js';
import { NumericError } from '../../src/base/index.js';
import { inspectCommand } from '../../src/cli/commands/inspect.js';
import { CRITERIA } from '../../src/operators/index.js';
import { findNonFinite, fromFloat32 } from '../../src/tensor/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, type Texts, type TinyOptions, useOwnCache } from './make.js';

let folder: string;
let texts: Texts;
let count = 0;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 4);
});

const make = (change: NonNullable<TinyOptions['change']>, dtype: TinyOptions['dtype'] = 'F32'): Promise<string> =>
  makeTiny(join(folder, `model-${count++}`), { blocks: 2, dtype, change });
const fresh = (): string => join(folder, `out-${count++}`);
const brief = { sequenceLength: LENGTH, threads: 1 };
const pruning = (checkpoint: string, criterion: string, out: string) => ({
  ...brief,
  checkpoint,
  criterion,
  out,
  calibration: texts.calibration,
  calibrationSamples: 8,
  sparsity: 0.7,
  allocation: 'uniform',
});

async function errorOf(act: Promise<unknown>): Promise<NumericError> {
  const error = await act.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(NumericError);
  return error as NumericError;
}

describe('a weight that is no number', () => {
  const broken = 'model.layers.0.self_attn.v_proj.weight';
  const NAN = Number.NaN;
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await make((name, values) => {
      if (name === broken) [values[33], values[70], values[71]] = [NAN, Number.POSITIVE_INFINITY, NAN];
    });
  });
  const expected = {
    code: 'E_NUMERIC_WEIGHT',
    facts: { tensor: broken, file: 'model.safetensors', position: [1, 1], nan: 2, infinite: 1 },
  };

  test.each([...CRITERIA.keys()])('%s', async (criterion) => {
    const out = fresh();
    const error = await errorOf(prune(pruning(checkpoint, criterion, out)));
    expect(error).toMatchObject(expected);
    expect(error.message).toContain('weight [1, 1] in model.safetensors is NaN (2 NaN and 1 infinite in all)');
    expect(existsSync(out)).toBe(false);
  });

  test('evaluate, pack, drop and profile say the same', async () => {
    const { calibration, validation } = texts;
    const out = fresh();
    for (const act of [
      () => evaluate({ ...brief, checkpoint, text: validation }),
      () => pack({ checkpoint, out: `${out}.lw` }),
      () => drop({ ...brief, checkpoint, blocks: 1, method: 'shortgpt', calibration, calibrationSamples: 8, out }),
      () => profile({ ...brief, checkpoint, calibration, calibrationSamples: 8 }),
    ]) {
      expect(await errorOf(act())).toMatchObject(expected);
    }
    expect(existsSync(out) || existsSync(`${out}.lw`)).toBe(false);
  });

  test.each(['model.embed_tokens.weight', 'lm_head.weight', 'model.norm.weight'])(
    '%s, outside the blocks',
    async (name) => {
      const dir = await make((tensor, values) => {
        if (tensor === name) values.fill(NAN);
      });
      const error = await errorOf(evaluate({ ...brief, checkpoint: dir, text: texts.validation }));
      expect(error).toMatchObject({ code: 'E_NUMERIC_WEIGHT', facts: { tensor: name } });
    },
  );

  test('a norm behind which a Gram matrix has no numbers', async () => {
    const name = 'model.layers.1.input_layernorm.weight';
    const dir = await make((tensor, values) => {
      if (tensor === name) values[3] = NAN;
    });
    for (const criterion of ['sparsegpt', 'admm', 'wanda']) {
      const error = await errorOf(prune(pruning(dir, criterion, fresh())));
      expect(error).toMatchObject({ code: 'E_NUMERIC_WEIGHT', facts: { tensor: name, position: [3], block: 1 } });
    }
  });

  test('inspect counts them', async () => {
    const report = await inspect(checkpoint);
    expect(report).toMatchObject({ nan: 2, infinite: 1, broken: [expected.facts] });
    expect(report.linears.find(({ name }) => `${name}.weight` === broken)).toMatchObject({ nan: 2, infinite: 1 });
    const { text } = await inspectCommand.run(checkpoint, {}, () => {}, {} as never);
    expect(text).toMatch(
      /NaN and infinities +model\.layers\.0\.self_attn\.v_proj\.weight: 2 NaN and 1 infinite, first at \[1, 1\]/,
    );
    const sound = await inspect(await make(() => {}));
    expect(sound).toMatchObject({ nan: 0, infinite: 0, broken: [] });
  });
});

describe('a weight that is repaired past what the dtype holds', () => {
  // Weights near the end of F16, fed by a norm that makes up for them.
  const change = (name: string, values: Float32Array): void => {
    if (/layers\.0\.self_attn\.[qkv]_proj/.test(name)) {
      const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      for (let i = 0; i < values.length; i++) values[i]! *= 6e4 / largest;
    }
    if (name === 'model.layers.0.input_layernorm.weight')
      for (let i = 0; i < values.length; i++) values[i] = 6e-6 * (1 + (i % 3));
  };

  test.each(['sparsegpt', 'admm'])('%s refuses to write it, and names it', async (criterion) => {
    const out = fresh();
    const error = await errorOf(prune(pruning(await make(change, 'F16'), criterion, out)));
    expect(error.code).toBe('E_NUMERIC_OVERFLOW');
    expect(error.message).toMatch(
      /Block 0, model\.layers\.0\.self_attn\.[qkv]_proj: \d+ repaired weights? exceeds? the largest number of F16 \(65504\); the largest is -?[\d.]+, at \[\d+, \d+\]\. Use a copy.*BF16 or F32/,
    );
    expect(Math.abs(error.facts.largest as number)).toBeGreaterThan(65504);
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    ['sparsegpt', 'BF16'],
    ['sparsegpt', 'F32'],
    ['wanda', 'F16'],
    ['dsnot-sparsegpt', 'F16'],
  ] as const)('%s in %s has room for it', async (criterion, dtype) => {
    const out = fresh();
    await prune(pruning(await make(change, dtype), criterion, out));
    expect(await inspect(out)).toMatchObject({ nan: 0, infinite: 0 });
  });
});

test('what is no number is found in the bytes of each dtype', () => {
  const values = Float32Array.of(1, -0, Number.NEGATIVE_INFINITY, 65504, Number.NaN, Number.POSITIVE_INFINITY);
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    expect(findNonFinite(fromFloat32(values, dtype), dtype)).toEqual({ nan: 1, infinite: 2, first: 2 });
    const shifted = Buffer.concat([Buffer.of(0), fromFloat32(values, dtype)]).subarray(1);
    expect(findNonFinite(shifted, dtype)).toEqual({ nan: 1, infinite: 2, first: 2 });
  }
  const doubles = new Uint8Array(Float64Array.from(values).buffer);
  expect(findNonFinite(doubles, 'F64')).toEqual({ nan: 1, infinite: 2, first: 2 });
  expect(findNonFinite(fromFloat32(Float32Array.of(70_000, 65_519), 'F16'), 'F16')).toEqual({
    nan: 0,
    infinite: 1,
    first: 0,
  });
  expect(() => findNonFinite(new Uint8Array(4), 'I32')).toThrow(
    expect.objectContaining({ code: 'E_UNSUPPORTED_DTYPE' }),
  );
});
