// Packing as a job: every family, what it refuses before it reads a weight, disks that fill up, prune with pack, and what
// inspect says of the result.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { inspect, inspectPacked, type PackOptions, pack, prune } from '../../src/api/index.js';
import { openCheckpoint, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { openPacked } from '../../src/packed/index.js';
import { codeOf } from '../checkpoint/make.js';
import { goldenCases, goldenDir } from '../model/golden.js';
import { directoryOf, withDirectory } from '../packed/make.js';
import { startRun } from './child.js';
import { LENGTH, makeFolder, makeTiny, stutter, useOwnCache } from './make.js';

let folder: string;
let checkpoint: string;
let count = 0;
const fresh = async (): Promise<string> => {
  const dir = join(folder, `place-${count++}`);
  await mkdir(dir);
  return join(dir, 'model.lw');
};

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  checkpoint = await makeTiny(join(folder, 'model'), { blocks: 2 });
});

describe('every family', () => {
  test('is packed with all its tensors, and its config still says what it is', async () => {
    for (const name of goldenCases) {
      for (const values of ['int8', 'int4', 'int2', 'f32']) {
        const out = await fresh();
        const head = values === 'int2' ? 'int4' : undefined;
        const result = await pack({ checkpoint: goldenDir(name), values, out, ...(head && { head }) });
        const { verified, ...report } = await inspectPacked(out, true);
        expect(verified, name).toBe(true);
        expect(result, name).toMatchObject(report);
        expect(report.tied, name).toBe(!report.parts.some(({ part }) => part === 'head'));
        expect(name.startsWith(report.family), name).toBe(true);
      }
    }
    expect(goldenCases.length).toBeGreaterThan(10);
  });

  test('and of a mixture every expert is packed, the router exactly', async () => {
    const out = await fresh();
    const { experts } = await inspect(goldenDir('mixtral'));
    const { linears, parts, blocks } = await pack({ checkpoint: goldenDir('mixtral'), out });
    expect(linears).toHaveLength(blocks * (4 + 3 * experts!.count));
    expect(linears.every(({ values }) => values === 'int8')).toBe(true);
    const weights = blocks * experts!.count * 32;
    expect(parts).toContainEqual(expect.objectContaining({ part: 'routers', weights, bits: 32, floor: 32, above: 0 }));
    const packed = await openPacked(out);
    const name = 'model.layers.1.block_sparse_moe.gate.weight';
    const { offset, layout } = packed.tensors.get(name)!;
    const bytes = new Uint8Array(packed.weightBytes);
    await packed.readWeightsInto(bytes);
    await packed.close();
    const own = await readTensorFloat32(await openCheckpoint(goldenDir('mixtral')), name);
    expect(new Float32Array(bytes.buffer, offset, layout.rows * layout.columns)).toEqual(own);
  });

  test('and others are refused by name', async () => {
    const dir = join(folder, 'other');
    await cp(checkpoint, dir, { recursive: true });
    const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
    await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, model_type: 'mamba' }));
    const out = await fresh();
    await expect(pack({ checkpoint: dir, out })).rejects.toMatchObject({ code: 'E_UNSUPPORTED_FAMILY' });
    expect(existsSync(out)).toBe(false);
  });
});

describe('refused before anything is read', () => {
  const refusal = async (changed: Partial<PackOptions>): Promise<string> => {
    let stages = 0;
    const code = await codeOf(pack({ checkpoint, out: await fresh(), onProgress: () => stages++, ...changed }));
    expect(stages).toBe(0);
    return code;
  };

  test.each([
    ['values', { values: 'int5' }, 'E_OPTION_VALUES'],
    ['layout', { layout: 'csr' }, 'E_OPTION_LAYOUT'],
    ['tiles of f32', { values: 'f32', layout: 'tiles' }, 'E_OPTION_LAYOUT'],
    ['head', { head: 'int3' }, 'E_OPTION_HEAD'],
    ['tiles of int3', { values: 'int3', layout: 'tiles' }, 'E_OPTION_LAYOUT'],
    ['no checkpoint', { checkpoint: '/nowhere/at/all' }, 'E_CHECKPOINT_DIRECTORY'],
    ['no folder', { out: '/nowhere/at/all/model.lw' }, 'E_RESOURCE_NOT_FOUND'],
  ])('%s', async (_, changed, code) => {
    expect(await refusal(changed)).toBe(code);
  });

  test('an output that exists, be it a link that leads nowhere, or lies in the checkpoint', async () => {
    const out = await fresh();
    await writeFile(out, 'mine');
    expect(await refusal({ out })).toBe('E_OPTION_OUT_EXISTS');
    expect(await readFile(out, 'utf8')).toBe('mine');
    const link = await fresh();
    await symlink('/nowhere', link);
    expect(await refusal({ out: link })).toBe('E_OPTION_OUT_EXISTS');
    expect(await refusal({ out: join(checkpoint, 'model.lw') })).toBe('E_OPTION_OUT');
  });

  test('a folder that may not be written', async (context) => {
    if (process.getuid?.() === 0) return context.skip('root may write everywhere');
    const out = await fresh();
    await chmod(join(out, '..'), 0o500);
    expect(await refusal({ out })).toBe('E_RESOURCE_PERMISSION');
  });
});

test('a weight that is no number is refused by the tensor’s name, and nothing stays', async () => {
  const name = 'model.layers.1.mlp.up_proj.weight';
  const dir = await makeTiny(join(folder, 'broken'), {
    blocks: 2,
    change: (tensor, values) => {
      if (tensor === name) values[77] = Number.NaN;
    },
  });
  for (const values of ['int8', 'int4', 'f32']) {
    const out = await fresh();
    await expect(pack({ checkpoint: dir, values, out })).rejects.toMatchObject({
      code: 'E_NUMERIC_WEIGHT',
      facts: { tensor: name },
    });
    expect(await readdir(join(out, '..'))).toEqual([]);
  }
});

test('a process that leaves while it writes leaves nothing', async () => {
  const out = await fresh();
  const base = fileURLToPath(new URL('../../dist/base/index.js', import.meta.url));
  const script = `import { writeAtomically } from ${JSON.stringify(base)};
    await writeAtomically(${JSON.stringify(out)}, async (handle) => {
      await handle.write('half');
      process.exit(130);
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code).toBe(130);
  expect(await readdir(join(out, '..'))).toEqual([]);
});

test('the file names and hashes the calibration text of the checkpoint’s record', async () => {
  const out = await fresh();
  const calibration = `${out}.txt`;
  await writeFile(calibration, stutter(5, 40 * LENGTH));
  const options = { checkpoint, sparsity: 0.5, beta: 0, calibrationSamples: 8, sequenceLength: LENGTH, threads: 1 };
  const { manifest } = await prune({ ...options, calibration, out: `${out}.sparse` });
  const { calibration: named } = await pack({ checkpoint: `${out}.sparse`, out });
  const hash = createHash('sha256')
    .update(await readFile(calibration))
    .digest('hex');
  expect(named).toMatchObject({ name: basename(calibration), hash, windows: 8, length: LENGTH });
  expect(named).toEqual(manifest.texts.calibration);
  expect((await inspectPacked(out)).calibration).toEqual(named);
  // A checkpoint without a record, or with a document of another kind, has none.
  const dense = await fresh();
  expect((await pack({ checkpoint, out: dense })).calibration).toBeNull();
  await writeFile(join(`${out}.sparse`, 'layerwise.json'), '{"texts":{"calibration":3}}');
  const other = await fresh();
  expect((await pack({ checkpoint: `${out}.sparse`, out: other })).calibration).toBeNull();
});

describe('prune with pack', () => {
  const magnitude = { sparsity: 0.75, allocation: 'uniform', criterion: 'magnitude', pattern: '4:16', threads: 1 };

  test('packs what it wrote: the file of layerwise pack, in tiles without padding', async () => {
    const out = await fresh();
    const options = { checkpoint, ...magnitude, out: `${out}.sparse` };
    const { packed } = await prune({ ...options, pack: { out } });
    expect(packed).toMatchObject({ out, values: 'int8', sparsity: 0.75 });
    for (const { layout, rows, rounded, nonzeros, columns } of packed!.linears) {
      expect(layout).toBe('tiles 4:16');
      expect(nonzeros + rounded).toBe((rows * columns) / 4);
    }
    const again = await fresh();
    await pack({ checkpoint: `${out}.sparse`, out: again });
    expect((await readFile(out)).equals(await readFile(again))).toBe(true);
  });

  test('without it nothing is packed', async () => {
    const out = await fresh();
    expect((await prune({ checkpoint, ...magnitude, out })).packed).toBeNull();
  });

  test.each([
    ['a place that is taken', (out: string) => ({ out: join(out, '..') }), 'E_OPTION_OUT_EXISTS'],
    ['the output’s own place', (out: string) => ({ out }), 'E_OPTION_PACK'],
    ['the place of unfinished work', (out: string) => ({ out: `${out}.partial` }), 'E_OPTION_PACK'],
    ['values that there are not', (out: string) => ({ out: `${out}.lw`, values: 'fp4' }), 'E_OPTION_VALUES'],
  ])('%s is refused before anything is pruned', async (_, packing, code) => {
    const out = await fresh();
    expect(await codeOf(prune({ checkpoint, ...magnitude, out, pack: packing(out) }))).toBe(code);
    expect(await readdir(join(out, '..'))).toEqual([]);
  });

  test('where the disk fills up while packing, the checkpoint is there, whole, and no packed file', async () => {
    const out = await fresh();
    const options = { checkpoint, ...magnitude, out, pack: { out: `${out}.packed` } };
    const fault = { as: 'ENOSPC', op: 'write', path: '.packed', nth: 5 } as const;
    const result = await startRun(options, `${out}.log`, fault).done;
    expect(result).toMatchObject({ code: 'E_RESOURCE_DISK_FULL' });
    expect((await readdir(join(out, '..'))).sort()).toEqual(['model.lw', 'model.lw.log']);
    await pack({ checkpoint: out, out: `${out}.packed` });
  });
});

describe('inspect', () => {
  test('counts bits by part against the floor', async () => {
    const out = await fresh();
    const sparse = await fresh();
    await prune({
      checkpoint,
      sparsity: 0.75,
      allocation: 'uniform',
      criterion: 'magnitude',
      pattern: '4:16',
      out: sparse,
    });
    await pack({ checkpoint: sparse, out });
    const report = await inspectPacked(out);
    const [linears, embeddings, head, vectors] = report.parts;
    const shapes = report.linears.map(({ rows, columns }) => [rows, columns] as const);
    const weights = shapes.reduce((sum, [rows, columns]) => sum + rows * columns, 0);
    // 12 bits for each nonzero; a float32 scale a row beyond that. Parts are padded to 64 bytes.
    const scales = shapes.reduce((sum, [rows]) => sum + 4 * rows, 0);
    expect(linears).toMatchObject({ part: 'linears', weights });
    expect(linears!.floor).toBeCloseTo((12 * linears!.nonzeros) / weights, 12);
    expect(report.linearBytes).toMatchObject({ 'values and columns': (weights * 3) / 8, scales, order: 0 });
    expect(linears!.bytes).toBe(Object.values(report.linearBytes).reduce((a, b) => a + b, 0));
    expect(embeddings).toMatchObject({ part: 'embeddings', floor: 8 });
    expect(head).toMatchObject({ part: 'head', floor: 8 });
    expect(vectors).toMatchObject({ part: 'norms and biases', bits: 32, floor: 32, above: 0 });
    expect(report.all.bytes).toBe(report.parts.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(report.fileBytes).toBe((await readFile(out)).length);
  });

  test('a config that asks for other tensors than the file has is refused', async () => {
    const out = await fresh();
    await pack({ checkpoint, out });
    const file = await readFile(out);
    const rename = (from: string, to: string): Buffer => withDirectory(file, directoryOf(file).replace(from, to));
    const inspectBytes = async (bytes: Buffer): Promise<string> => {
      const path = await fresh();
      await writeFile(path, bytes);
      return codeOf(inspectPacked(path));
    };
    expect(await inspectBytes(file)).toBe('no error');
    expect(await inspectBytes(rename('"model.norm.weight"', '"model.norm.other"'))).toBe('E_CHECKPOINT_MISSING');
    expect(await inspectBytes(rename('"role":"embedding"', '"role":"linear"'))).toBe('E_CHECKPOINT_SHAPE');
    const blocks = Buffer.from(file);
    const at = blocks.indexOf('"num_hidden_layers": 2');
    blocks.write('1', at + '"num_hidden_layers": '.length);
    expect(await inspectBytes(blocks)).toBe('E_CHECKPOINT_PACKED_CHECKSUM');
    const packed = await openPacked(out);
    const { sha256 } = packed.directory.files[0]!;
    await packed.close();
    const config = blocks.subarray(
      packed.directory.files[0]!.offset,
      packed.directory.files[0]!.offset + packed.directory.files[0]!.bytes,
    );
    const { createHash } = await import('node:crypto');
    const hash = createHash('sha256').update(config).digest('hex');
    expect(await inspectBytes(withDirectory(blocks, directoryOf(blocks).replace(sha256, hash)))).toBe(
      'E_CHECKPOINT_UNEXPECTED',
    );
  });
});
