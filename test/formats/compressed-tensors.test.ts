// compressed-tensors: the packing against words of the library's own pack_to_int32, whole checkpoints against their grids, and
// what is refused. scripts/peers/export_compressed_tensors.py loads such directories in transformers.

import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { exportModel } from '../../src/api/index.js';
import { openCheckpoint, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { packBits } from '../../src/formats/compressed-tensors.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { makeFolder, makeTiny, useOwnCache } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { goldenDir } from '../model/golden.js';
import { makeQuantised, type OnGrid, valueAt, writeScales } from './quantised.js';

let folder: string;
let count = 0;
const fresh = (): string => join(folder, `place-${count++}`);
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
});

test('values are packed as the library packs them, across the borders of words too', () => {
  const hex = (q: readonly number[], bits: number): string =>
    [...packBits(Int8Array.from(q), q.length, bits)].map((word) => word.toString(16).padStart(8, '0')).join(' ');
  const from = (low: number, n: number): number[] => Array.from({ length: 12 }, (_, i) => low + (i % n));
  expect(hex(from(-2, 4), 2)).toBe('00e4e4e4');
  expect(hex(from(-4, 8), 3)).toBe('88fac688 00000006');
  expect(hex(from(-8, 16), 4)).toBe('76543210 0000ba98');
  expect(hex(from(-128, 256), 8)).toBe('03020100 07060504 0b0a0908');
});

/** The integers of a packed row-major matrix, read bit by bit. */
function unpack(bytes: Uint8Array, rows: number, columns: number, bits: number): number[] {
  const rowBytes = 4 * Math.ceil((columns * bits) / 32);
  return Array.from({ length: rows * columns }, (_, i) => {
    let value = 0;
    for (let bit = 0; bit < bits; bit++) {
      const at = (i % columns) * bits + bit;
      value += ((bytes[Math.floor(i / columns) * rowBytes + (at >> 3)]! >> (at & 7)) & 1) << bit;
    }
    return value - 2 ** (bits - 1);
  });
}

describe('a quantised checkpoint', () => {
  const chosen: Readonly<Record<string, { readonly bits: number; readonly group: number } | undefined>> = {
    q_proj: { bits: 4, group: 32 },
    k_proj: { bits: 4, group: 32 },
    v_proj: { bits: 3, group: 32 },
    gate_proj: { bits: 2, group: 32 },
    up_proj: { bits: 8, group: 32 },
    down_proj: { bits: 4, group: 48 },
  };
  const choose = (name: string) => chosen[name.split('.').at(-2)!];

  test.each(['F32', 'F16', 'BF16'] as const)(
    'of %s keeps its integers and scales, its zeros and all else',
    async (dtype) => {
      const [dir, out] = [fresh(), fresh()];
      const grids = await makeQuantised(dir, dtype, choose);
      const result = await exportModel({ checkpoint: dir, to: 'compressed-tensors', out });
      const [source, made] = [await openCheckpoint(dir), await openCheckpoint(out)];
      const config = made.config.quantization_config as {
        ignore: string[];
        config_groups: Record<string, { targets: string[]; format: string; weights: Record<string, unknown> }>;
      };
      const weightsOf = new Map(
        Object.values(config.config_groups).flatMap(({ targets, weights, format }) => {
          expect(format).toBe('pack-quantized');
          return targets.map((target) => [target, weights] as const);
        }),
      );
      expect([...weightsOf.keys()].map((name) => `${name}.weight`).sort()).toEqual([...grids.keys()].sort());
      expect(config.ignore).toEqual(['lm_head', 'model.layers.0.self_attn.o_proj']);
      for (const [weight, grid] of grids) {
        const name = weight.slice(0, -'.weight'.length);
        const { shape } = source.tensors.get(weight)!;
        const [rows, columns] = shape as [number, number];
        expect(weightsOf.get(name)).toMatchObject(
          grid.group === columns
            ? { num_bits: grid.bits, strategy: 'channel', group_size: null }
            : { num_bits: grid.bits, strategy: 'group', group_size: grid.group },
        );
        expect(unpack(await readTensor(made, `${name}.weight_packed`), rows, columns, grid.bits)).toEqual([...grid.q]);
        const scale = made.tensors.get(`${name}.weight_scale`)!;
        expect(scale.dtype).toBe(grid.bits === 8 ? 'F32' : 'F16');
        expect(toFloat32(await readTensor(made, scale.name), scale.dtype)).toEqual(grid.scales);
        const dims = new BigInt64Array((await readTensor(made, `${name}.weight_shape`)).buffer);
        expect([...dims].map(Number)).toEqual(shape);
        expect(made.tensors.has(weight)).toBe(false);
      }
      for (const name of source.tensors.keys()) {
        if (!grids.has(name)) expect(await readTensor(made, name)).toEqual(await readTensor(source, name));
      }
      const zeros = [...grids.values()].reduce((sum, { q }) => sum + q.filter((value) => value === 0).length, 0);
      expect(result.zeros).toEqual({ before: zeros, after: zeros, kept: zeros });
      expect(result.notes.join('\n')).toMatch(/refuse 2 of them/);
      expect(result.notes.join('\n')).toMatch(/2 and 3 bits|3 and 2 bits/);
      expect(await readdir(out)).not.toContain('layerwise.scales');
    },
  );

  test('keeps config.json as it is written: 10000.0 is no integer for transformers', async () => {
    const [dir, out] = [fresh(), fresh()];
    await makeQuantised(dir, 'F32', choose);
    const text = await readFile(join(dir, 'config.json'), 'utf8');
    const own = text.trimEnd().replace(/^\{/, '{ "rope_theta": 10000.0,');
    await writeFile(join(dir, 'config.json'), own);
    await exportModel({ checkpoint: dir, to: 'compressed-tensors', out });
    const made = await readFile(join(out, 'config.json'), 'utf8');
    expect(made.startsWith(own.slice(0, -1).trimEnd())).toBe(true);
    expect(JSON.parse(made)).toMatchObject(JSON.parse(own));
  });

  test('whose weights changed since is refused', async () => {
    const dir = fresh();
    const grids = new Map(await makeQuantised(dir, 'F32', choose));
    const [name, grid] = [...grids][0]!;
    grids.set(name, { ...grid, scales: grid.scales.map((scale) => scale * 1.25) } satisfies OnGrid);
    await writeScales(dir, grids);
    const out = fresh();
    expect(await codeOf(exportModel({ checkpoint: dir, to: 'compressed-tensors', out }))).toBe('E_CHECKPOINT_SCALES');
    expect((await readdir(folder)).filter((entry) => entry.startsWith(out.slice(folder.length + 1)))).toEqual([]);
  });

  test('has bits of its own', async () => {
    const dir = fresh();
    await makeQuantised(dir, 'F32', choose);
    const run = exportModel({ checkpoint: dir, to: 'compressed-tensors', bits: 4, out: fresh() });
    expect(await codeOf(run)).toBe('E_OPTION_BITS');
  });

  test('as hf is its weights alone', async () => {
    const [dir, out] = [fresh(), fresh()];
    await makeQuantised(dir, 'F16', choose);
    await exportModel({ checkpoint: dir, to: 'hf', out });
    expect((await readdir(out)).sort()).toEqual(
      (await readdir(dir)).filter((name) => name !== 'layerwise.scales').sort(),
    );
    for (const name of ['model.safetensors', 'config.json', 'tokenizer.json']) {
      expect(await readFile(join(out, name))).toEqual(await readFile(join(dir, name)));
    }
  });
});

describe('a dense checkpoint', () => {
  test.each([
    ['F32', 4, 16],
    ['BF16', 4, 16],
    ['F16', 8, 16],
  ] as const)('of %s is rounded to %i bits, within half a step, zeros exact', async (dtype, bits, group) => {
    const dir = await makeTiny(fresh(), {
      blocks: 1,
      dtype,
      change: (name, values) => {
        if (name.includes('_proj')) for (let i = 0; i < values.length; i += 3) values[i] = 0;
      },
    });
    const out = fresh();
    const { zeros } = await exportModel({ checkpoint: dir, to: 'compressed-tensors', bits, group, out });
    expect(zeros!.kept).toBe(zeros!.before);
    const [source, made] = [await openCheckpoint(dir), await openCheckpoint(out)];
    const name = 'model.layers.0.mlp.down_proj';
    const W = await readTensorFloat32(source, `${name}.weight`);
    const scales = await readTensorFloat32(made, `${name}.weight_scale`);
    expect(made.tensors.get(`${name}.weight_scale`)!.dtype).toBe(dtype === 'BF16' ? 'BF16' : 'F16');
    expect(fromFloat32(scales, dtype === 'BF16' ? 'BF16' : 'F16')).toEqual(
      await readTensor(made, `${name}.weight_scale`),
    );
    const q = unpack(await readTensor(made, `${name}.weight_packed`), 32, 48, bits);
    const grid: OnGrid = { bits, group, q: Int8Array.from(q), scales };
    let error = 0;
    W.forEach((w, i) => {
      if (w === 0) expect(q[i]).toBe(0);
      error += (w - valueAt(grid, 48, i)) ** 2;
    });
    const size = W.reduce((sum, w) => sum + w * w, 0);
    expect(error / size).toBeLessThan(bits === 4 ? 0.006 : 3e-5);
    expect(scales.some((scale) => scale < 0)).toBe(true);
  });

  test('needs bits, and a group that divides every row', async () => {
    const dir = await makeTiny(fresh(), { blocks: 1 });
    const refusal = (more: object) =>
      codeOf(exportModel({ checkpoint: dir, to: 'compressed-tensors', out: join(folder, 'never'), ...more }));
    expect(await refusal({})).toBe('E_OPTION_BITS');
    expect(await refusal({ bits: 3 })).toBe('E_OPTION_BITS');
    expect(await refusal({ group: 32 })).toBe('E_OPTION_BITS');
    expect(await refusal({ bits: 4, group: 32 })).toBe('E_UNSUPPORTED_EXPORT');
    expect(await refusal({ bits: 4, group: 16, to: 'onnx' })).toBe('E_OPTION_TO');
    expect(await refusal({ bits: 4, group: 16, to: 'hf' })).toBe('E_OPTION_CONFLICT');
    for (const name of ['gpt2', 'mixtral', 'qwen3_moe']) {
      expect(await refusal({ checkpoint: goldenDir(name), bits: 4, group: 4 })).toBe('E_UNSUPPORTED_EXPORT');
    }
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });
});
