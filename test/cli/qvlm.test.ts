// quantise --method qvlm as a person meets it: a process of its own, on the checkpoint that ships with the project.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { activationsOptions } from '../../src/cli/activations.js';
import { parseCall } from '../../src/cli/index.js';
import { limit } from '../scale.js';

vi.setConfig({ testTimeout: limit(120_000) });

const root = fileURLToPath(new URL('../..', import.meta.url));
const model = join(root, 'demo/model');

const layerwise = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist/cli/main.js'), ...words], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });

let dir: string;
let texts: string[];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-qvlm-'));
  const sentences = ['Clara went to the mill.', 'She had a red lamp.', 'It was raining.', 'Ned gave the key to her.'];
  const write = async (name: string, first: number): Promise<string> => {
    const path = join(dir, `${name}.txt`);
    await writeFile(path, Array.from({ length: 60 }, (_, i) => sentences[(i * i + first) % 4]).join(' '));
    return path;
  };
  texts = ['--calibration', await write('calibration', 0), '--validation', await write('validation', 1)];
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test('says what it costs, and writes a record whose command comes to the same run', async () => {
  const out = join(dir, 'w4a4');
  const words = ['quantise', model, '--method', 'qvlm', '--bits', '4', '--activation-bits', '6', ...texts];
  const small = ['--sequence-length', '32', '--calibration-samples', '2', '--threads', '2'];
  const { code, stdout, stderr } = await layerwise(
    ...words,
    ...small,
    '--dependency',
    'entropy',
    '--json',
    '--out',
    out,
  );
  expect(code, stderr).toBe(0);
  const json = JSON.parse(stdout);
  expect(json).toMatchObject({ method: 'qvlm', bits: { weights: 4, activations: 6 }, dependency: 'entropy' });
  expect(json.scores.chosen.validation).toBeLessThanOrEqual(json.scores.minmax.validation);
  expect(json.scores.minmax.timesMinmax).toEqual([1, 1]);
  const record = JSON.parse(await readFile(join(out, 'layerwise.json'), 'utf8'));
  expect(json.clips).toHaveLength(record.layers.length);
  const page = await readFile(join(out, 'report.html'), 'utf8');
  for (const id of ['scores', 'stretches', 'clips', 'texts', 'origin']) expect(page).toContain(`<section id="${id}"`);
  expect(page).toContain('W4A6');
  const parsed = await parseCall(record.command.split(' ').slice(1));
  const { threads: _, out: __, ...asked } = activationsOptions(parsed.argument!, parsed.values);
  expect(asked).toEqual({
    ...{ checkpoint: model, bits: 4, activationBits: 6, activationRange: 'token', dependency: 'entropy' },
    ...{ calibration: texts[1], validation: texts[3], calibrationSamples: 2, calibrationOrder: 'random' },
    ...{ sequenceLength: 32, seed: 0, device: 'cpu' },
  });
  const evaluated = await layerwise('evaluate', out, '--text', texts[3]!, '--sequence-length', '32', '--json');
  expect(JSON.parse(evaluated.stdout).perplexity).toBe(record.scores.chosen.validation.perplexity);
  expect(evaluated.stderr).toContain('Activations are quantised to 6 bits');
});

test.each([
  [['--method', 'qvlm', '--bits', '4', '--group', '32'], 'E_OPTION_GROUP'],
  [['--method', 'qvlm', '--bits', '4', '--tasks', 'piqa'], 'E_OPTION_TASKS'],
  [['--method', 'qvlm', '--bits', '7'], 'E_OPTION_BITS'],
  [['--method', 'rtn', '--bits', '4', '--activation-bits', '4'], 'E_OPTION_ACTIVATION_BITS'],
  [['--bits', '4', '--dependency', 'entropy'], 'E_OPTION_DEPENDENCY'],
  [['--bits', '3.5'], 'E_OPTION_BITS'],
])('%o is a wrong call', async (more, error) => {
  const { code, stderr } = await layerwise('quantise', model, ...texts, ...more, '--out', join(dir, 'not-written'));
  expect([code, stderr]).toEqual([2, expect.stringContaining(error)]);
});
