// The command line as a person meets it: a process of its own, on the checkpoint that ships with the project.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/index.js';
import { startHost } from '../engine/webgpu.js';
import { makeFamily } from '../families.js';
import { firstAdapter } from '../gpu-process.js';
import { limit } from '../scale.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const model = join(root, 'demo/model');
const SMALL = ['--sequence-length', '32', '--calibration-samples', '8', '--threads', '2'];

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

function layerwise(...words: string[]): Promise<Ended> {
  return layerwiseIn({}, words);
}

function layerwiseIn(environment: Readonly<Record<string, string>>, words: readonly string[]): Promise<Ended> {
  const env = { ...process.env, ...environment };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

let dir: string;
let texts: { readonly calibration: string; readonly validation: string; readonly test: string };
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-cli-'));
  const sentences = [
    'Clara went to the mill.',
    'She had a red lamp.',
    'Ned gave the old key to her.',
    'It was raining.',
  ];
  const write = async (name: string, first: number): Promise<string> => {
    const path = join(dir, `${name}.txt`);
    await writeFile(path, Array.from({ length: 120 }, (_, i) => sentences[(i * i + first) % 4]).join(' '));
    return path;
  };
  texts = {
    calibration: await write('calibration', 0),
    validation: await write('validation', 1),
    test: await write('test', 2),
  };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('help', () => {
  test('of the whole names every command', async () => {
    const { code, stdout } = await layerwise('--help');
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(stdout).toContain(name);
  });

  test.each(COMMANDS.map(({ name }) => name))('of %s has examples and every option', async (name) => {
    const { code, stdout } = await layerwise(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('--json');
  });

  test('the version is the package’s', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await layerwise('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

describe('a wrong call exits with 2, says what and what next, and writes nothing', () => {
  test.each([
    ['no command', [], /Usage/],
    ['an unknown command', ['prun'], /unknown command 'prun'.*layerwise --help/],
    ['a misspelt option', ['prune', model, '--sparsty', '0.5', '--out', 'x'], /Did you mean --sparsity/],
    ['no checkpoint', ['prune', '--sparsity', '0.5'], /missing required argument/],
    ['no output', ['prune', model, '--sparsity', '0.5'], /--out <path>: expected/],
    [
      'a word for a number',
      ['prune', model, '--sparsity', 'half', '--out', 'x'],
      /--sparsity: expected a number, got "half"/,
    ],
    ['a sparsity of 1', ['plan', model, '--sparsity', '1', '--allocation', 'uniform'], /between 0 and 1/],
    [
      'β past its bound',
      ['plan', model, '--sparsity', '0.7', '--beta', '0.5'],
      /--hyperparameters beta=0\.5: expected a number in \[-0\.0666/,
    ],
    [
      'all blocks',
      ['drop', model, '--blocks', '10', '--method', 'deepest', '--out', 'x'],
      /--blocks: .*the model's 10/,
    ],
    ['no text to measure on', ['drop', model, '--blocks', '1', '--method', 'angular', '--out', 'x'], /--calibration: /],
    ['nothing to measure on', ['profile', model], /--calibration <file.*expected.*is missing/],
    ['a measure there is not', ['profile', model, '--calibration', 'x', '--measures', 'x'], /--measures: .*outliers, /],
    [
      'a measure that depends on the target',
      ['profile', model, '--calibration', 'x', '--measures', 'sensitivity'],
      /depends on the sparsity.*plan and prune measure it/,
    ],
    ['no text to search on', ['plan', model, '--sparsity', '0.7'], /beta in \[-0\.0666\d*, 0\.0666.*--validation text/],
    ['hyperparameters that are none', ['plan', model, '--sparsity', '0.7', '--hyperparameters', 'x'], /name=number/],
    [
      'a hyperparameter given twice',
      ['plan', model, '--sparsity', '0.7', '--hyperparameters', 'beta=0.01,beta=0.02'],
      /each name once, got beta twice/,
    ],
    ['checksums of a checkpoint', ['inspect', model, '--verify'], /--verify only applies to a \.lw file/],
    [
      'tiles of f32',
      ['pack', model, '--values', 'f32', '--layout', 'tiles', '--out', 'x'],
      /--layout: tiles hold int8/,
    ],
    [
      'an unknown criterion',
      ['prune', model, '--sparsity', '0.5', '--criterion', 'x', '--out', 'x'],
      /magnitude, wanda/,
    ],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await layerwise(...words);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('with --json the error is the document', async () => {
    const { code, stdout } = await layerwise('plan', model, '--sparsity', '2', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'E_OPTION_SPARSITY', facts: { got: 2 } } });
  });
});

test('a checkpoint that is not there exits with 1', async () => {
  const { code, stderr } = await layerwise('inspect', join(dir, 'nothing'));
  expect(code).toBe(1);
  expect(stderr).toMatch(/expected the directory of a checkpoint.*E_CHECKPOINT_DIRECTORY/);
});

describe('inspect, plan, evaluate', () => {
  test('inspect: a document, and a page', async () => {
    const report = JSON.parse((await layerwise('inspect', model, '--json')).stdout);
    expect(report).toMatchObject({ family: 'llama', blocks: 10, zeros: 0, tied: true });
    expect(report.linears).toHaveLength(70);
    const page = await layerwise('inspect', model, '--linears');
    expect(page.stdout).toContain('model.layers.9.mlp.down_proj');
  });

  test('plan: written once, replayed by prune', async () => {
    const path = join(dir, 'plan.json');
    const { code, stdout } = await layerwise(
      'plan',
      model,
      '--sparsity',
      '0.6',
      '--beta',
      '0.02',
      '--out',
      path,
      '--json',
    );
    expect(code).toBe(0);
    const plan = JSON.parse(stdout);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(plan);
    expect(plan.units['blocks.0'].zeros.rate).toBeCloseTo(0.51, 12);
    expect(await layerwise('plan', model, '--sparsity', '0.6', '--beta', '0.02', '--out', path)).toMatchObject({
      code: 2,
    });
    const out = join(dir, 'planned');
    const pruned = await layerwise('prune', model, '--plan', path, '--criterion', 'magnitude', '--out', out, '--json');
    expect(pruned.code).toBe(0);
    expect(JSON.parse(pruned.stdout).chosen.rates[0]).toBeCloseTo(0.51, 4);
  });

  test('evaluate prints its numbers and names the text', async () => {
    const { stdout, stderr } = await layerwise(
      'evaluate',
      model,
      '--text',
      texts.test,
      '--sequence-length',
      '32',
      '--json',
    );
    const document = JSON.parse(stdout);
    expect(Object.keys(document)).toEqual(['perplexity', 'windows', 'tokens', 'text', 'seconds']);
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(document.text).toMatchObject({ name: basename(texts.test), hash, length: 32, order: 'all', bos: null });
    expect(document.tokens).toBe(document.windows * 31);
    expect(document.perplexity).toBeGreaterThan(1);
    expect(stderr).toContain('evaluating');
  });

  test('evaluate scores a text and tasks in one command, as a document and as a table', async () => {
    const items = fileURLToPath(new URL('../golden/zeroshot/items/', import.meta.url));
    const words = ['evaluate', model, '--text', texts.test, '--suite', 'wanda', '--data', items];
    const { code, stdout, stderr } = await layerwise(...words, '--limit', '2', '--json');
    expect(code).toBe(0);
    const { perplexity, tasks } = JSON.parse(stdout);
    expect(perplexity).toBeGreaterThan(1);
    expect(tasks).toMatchObject({ suite: 'wanda', shots: 0, specialTokens: false, length: 256 });
    expect(Object.keys(tasks.tasks)).toHaveLength(7);
    expect(tasks.setup).toHaveLength(7);
    expect(tasks.average.value).toBeGreaterThan(0);
    expect(stderr).toContain('reading tasks');
    const page = await layerwise('evaluate', model, '--tasks', 'piqa,lambada_openai', '--data', items);
    expect(page.stdout).toMatch(/^zero-shot +acc % +acc_norm % +perplexity +items$/m);
    expect(page.stdout).toMatch(/^piqa: 1 of the requests are longer than 256 tokens/m);
    const wrong = await layerwise('evaluate', model, '--tasks', 'copa', '--data', items, '--json');
    expect(wrong.code).toBe(2);
    expect(JSON.parse(wrong.stdout).error.code).toBe('E_OPTION_TASKS');
  });
});

test('experts: a document, a page, a report, and a record whose command makes the same again', async () => {
  const mixture = await makeFamily(join(dir, 'mixture'), 'mixtral');
  const out = join(dir, 'fewer-experts');
  const words = ['--keep', '0.6', '--calibration', texts.calibration, '--test', texts.test, ...SMALL];
  const free = ['--per-layer', 'free', '--beta', '-0.5', '--greedy-tokens', '4'];
  const first = await layerwise('experts', mixture, ...words, ...free, '--out', out, '--json');
  expect(first.stderr).toContain('measuring experts');
  expect(first.code).toBe(0);
  const { seconds: _, out: __, fidelity, ...recorded } = JSON.parse(first.stdout);
  expect(Object.keys(recorded)).toEqual([
    ...['method', 'keep', 'perLayer', 'allocation', 'blocks', 'experts', 'parameters', 'dense', 'pruned'],
  ]);
  expect(recorded).toMatchObject({
    ...{ method: 'reap', keep: 0.6, perLayer: 'free', allocation: { policy: 'atp', values: { beta: -0.5 } } },
    experts: { before: 10, after: 6 },
  });
  expect(fidelity).toMatchObject({ text: 'test', divergence: expect.any(Number) });
  const record = JSON.parse(await readFile(join(out, 'layerwise.json'), 'utf8'));
  expect(record).toMatchObject({ format: 'layerwise-experts', ...recorded });
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Which experts stay');
  const again = join(dir, 'fewer-experts-again');
  const command = record.command.replace('<dir>', again).split(' ').slice(1);
  expect((await layerwise(...command, '--threads', '2')).code).toBe(0);
  for (const file of ['model.safetensors', 'config.json', 'layerwise.json', 'report.html'])
    expect([file, await readFile(join(again, file))]).toEqual([file, await readFile(join(out, file))]);
  const page = await layerwise('experts', mixture, ...words, '--out', join(dir, 'equal-experts'));
  expect(page.stdout).toMatch(/block 1 +3 of 5 +\d, \d\n/);
  expect(page.stdout).toMatch(/6 of 10 experts and \d+\.\d\d % of the parameters are left/);
  expect(page.stdout).toContain('It loads wherever the source does.');
  const wrong = await layerwise('experts', model, ...words, '--out', join(dir, 'not-written'), '--json');
  expect(wrong.code).toBe(1);
  expect(JSON.parse(wrong.stdout).error.code).toBe('E_UNSUPPORTED_EXPERTS');
});

test('drop: a document, a page, and a checkpoint that other commands read', async () => {
  const out = join(dir, 'dropped');
  const words = ['--blocks', '2', '--calibration', texts.calibration, '--test', texts.test, ...SMALL];
  const first = await layerwise('drop', model, '--method', 'shortgpt', ...words, '--out', out, '--json');
  expect(first.stderr).toContain('measuring influence');
  expect(first.code).toBe(0);
  const document = JSON.parse(first.stdout);
  expect(Object.keys(document)).toEqual([
    'removed',
    'method',
    'scores',
    'blocks',
    'parameters',
    'dense',
    'dropped',
    'fidelity',
    'seconds',
    'out',
  ]);
  expect(document).toMatchObject({
    removed: [expect.any(Number), expect.any(Number)],
    method: 'shortgpt',
    blocks: { before: 10, after: 8 },
    dense: { validation: null, test: expect.any(Number) },
    dropped: { validation: null, test: expect.any(Number) },
    out,
  });
  expect(document.scores).toHaveLength(10);
  const { seconds: _, out: __, fidelity, ...recorded } = document;
  expect(fidelity).toMatchObject({ text: 'test', divergence: expect.any(Number), agreement: expect.any(Number) });
  expect(fidelity.greedy.same).toHaveLength(Math.min(8, fidelity.windows));
  expect(first.stderr).toContain('writing greedy texts');
  expect(JSON.parse(await readFile(join(out, 'layerwise.json'), 'utf8'))).toMatchObject({
    format: 'layerwise-drop',
    ...recorded,
  });
  const report = JSON.parse((await layerwise('inspect', out, '--json')).stdout);
  expect(report).toMatchObject({ blocks: 8, parameters: document.parameters.after });
  const page = await layerwise('drop', model, '--method', 'deepest', ...words, '--out', join(dir, 'shallow'));
  expect(page.stdout).toMatch(/block 8 +– +removed\n/);
  expect(page.stdout).toMatch(/8 of 10 blocks and \d+\.\d\d % of the parameters are left/);
});

test('profile: a document, a page, and a file that plan allocates by', async () => {
  const out = join(dir, 'profile.json');
  const words = ['profile', model, '--calibration', texts.calibration, ...SMALL];
  const page = await layerwise(...words, '--measures', 'outliers,scoreMoments', '--out', out);
  expect(page.stderr).toContain('dense');
  expect(page.code).toBe(0);
  expect(page.stdout).toMatch(/^ +influence +angle +outliers +median score +var ln score$/m);
  expect(page.stdout).toMatch(/^block 9( +\S+){2} +\d+\.\d\d %( +\S+){2}$/m);
  expect(page.stdout).toMatch(/^blocks \d to \d +0\.\d+$/m);
  expect(page.stdout).toContain('8 windows of 32 tokens of calibration.txt');
  const kept = JSON.parse(await readFile(out, 'utf8'));
  const { stdout } = await layerwise(...words, '--measures', 'scoreMoments,outliers', '--json');
  expect(JSON.parse(stdout)).toEqual(kept);
  expect(kept).toMatchObject({ format: 'layerwise-profile', version: 1, source: { blocks: 10 }, seed: 0 });
  expect(kept.angles.map(({ length }: number[]) => length)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  const plan = ['plan', model, '--sparsity', '0.6', '--allocation'];
  const measured = ['--calibration', texts.calibration, ...SMALL];
  const direct = await layerwise(...plan, 'owl', ...measured, '--json');
  expect(JSON.parse((await layerwise(...plan, 'owl', '--profile', out, '--json')).stdout)).toEqual(
    JSON.parse(direct.stdout),
  );
  const refused = await layerwise(...plan, 'alphapruning', '--profile', out);
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/expected the measure alpha.*--measures alpha/),
  });
});

test('pack: a document, a page, and a file that inspect reads', async () => {
  const out = join(dir, 'model.lw');
  const { code, stdout, stderr } = await layerwise('pack', model, '--values', 'int4', '--out', out, '--json');
  expect(code).toBe(0);
  expect(stderr).toContain('packing');
  const { out: written, seconds: _, peakMemoryBytes: __, ...report } = JSON.parse(stdout);
  expect(written).toBe(out);
  expect(report).toMatchObject({ family: 'llama', values: 'int4', head: 'int8', tied: true, verified: false });
  expect(JSON.parse((await layerwise('inspect', out, '--json')).stdout)).toEqual(report);
  const page = await layerwise('inspect', out, '--linears', '--verify');
  expect(page.stdout).toMatch(/linears .* 4\.\d+ +4\.000 +\+\d\.\d %/);
  expect(page.stdout).toMatch(/model\.layers\.9\.mlp\.down_proj\.weight .*\n +dense: .* against /);
  expect(page.stdout).toContain('undamaged');
  const items = fileURLToPath(new URL('../golden/zeroshot/items/', import.meta.url));
  const words = ['--text', texts.test, '--tasks', 'piqa,arc_easy', '--data', items, '--limit', '2'];
  const scored = await layerwise('evaluate', out, ...words, '--json');
  expect(scored.code).toBe(0);
  expect(scored.stderr).toMatch(/^tasks/m);
  const [packed, whole] = [scored, await layerwise('evaluate', model, ...words, '--json')].map(({ stdout }) =>
    JSON.parse(stdout),
  );
  expect(packed.tasks.setup).toEqual(whole.tasks.setup);
  expect(Object.keys(packed)).toEqual(Object.keys(whole));
  expect(await layerwise('evaluate', out, ...words, '--device', 'cuda')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--device: expected one of cpu, webgpu, got "cuda"/),
  });
  expect(await layerwise('pack', model, '--out', out)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--out: .* exists/),
  });
});

describe('prune', () => {
  test('packs where it is asked to', async () => {
    const out = join(dir, 'sparse');
    const words = ['prune', model, '--sparsity', '0.75', '--pattern', '4:16', '--allocation', 'uniform'];
    const pruned = [...words, '--criterion', 'magnitude', '--out', out];
    const refused = await layerwise(...pruned, '--values', 'int4');
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--values only applies together with --pack/),
    });
    const { stdout } = await layerwise(...pruned, '--pack', `${out}.lw`, '--values', 'int4');
    expect(stdout).toMatch(/packed +.*sparse\.lw, 2\.\d\d bits a weight of the linears/);
  });

  test('searches, reports and writes; report makes the page again', async () => {
    const out = join(dir, 'searched');
    const { calibration, validation, test: held } = texts;
    const words = [
      '--calibration',
      calibration,
      '--validation',
      validation,
      '--test',
      held,
      '--max-trials',
      '2',
      ...SMALL,
    ];
    const { code, stdout, stderr } = await layerwise(
      'prune',
      model,
      '--sparsity',
      '0.5',
      ...words,
      '--out',
      out,
      '--json',
    );
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    const pair = { validation: expect.any(Number), test: expect.any(Number) };
    expect(document).toMatchObject({
      sparsity: { target: 0.5, realised: 0.5 },
      dense: pair,
      uniform: pair,
      chosen: { ...pair, beta: expect.any(Number), rates: expect.any(Array) },
      seconds: expect.any(Number),
      peakMemoryBytes: expect.any(Number),
      out,
    });
    expect(document.chosen.rates).toHaveLength(10);
    for (const trial of document.trials) {
      expect(trial).toEqual({
        beta: expect.any(Number),
        hyperparameters: { beta: trial.beta },
        validation: expect.any(Number),
        interval: [expect.any(Number), expect.any(Number)],
        exact: expect.any(Boolean),
        seconds: expect.any(Number),
      });
    }
    expect(document.trials.filter((trial: { exact: boolean }) => trial.exact).length).toBeLessThanOrEqual(3);
    expect(stderr).toMatch(/trial: β = /);
    expect(stderr).not.toContain('\u001b'); // plain lines where there is no terminal
    const page = await readFile(join(out, 'report.html'), 'utf8');
    const again = join(dir, 'again.html');
    expect(JSON.parse((await layerwise('report', out, '--out', again, '--json')).stdout)).toEqual({ report: again });
    expect(await readFile(again, 'utf8')).toBe(page);
  });

  test('interrupted, it says how to go on, and --resume goes on', async () => {
    const words = ['prune', model, '--sparsity', '0.5', '--beta', '0', '--calibration', texts.calibration, ...SMALL];
    const out = join(dir, 'interrupted');
    const child = spawn(process.execPath, [main, ...words, '--out', out], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    let asked = false;
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
      if (asked || !stderr.includes('trial:')) return;
      asked = true;
      child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(130);
    expect(stderr).toMatch(/Interrupted\. The same command with --resume continues\./);
    expect(existsSync(out)).toBe(false);
    expect(await layerwise(...words, '--out', out)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--resume/),
    });
    expect(await layerwise(...words, '--out', out, '--resume')).toMatchObject({ code: 0 });
    expect(existsSync(`${out}.partial`)).toBe(false);
  });

  // A software adapter computes on the CPU, and slowly.
  test('on WebGPU it comes to the CPU’s perplexity', { timeout: limit(240_000) }, async (context) => {
    const started = await firstAdapter((one) => startHost(one).then((host) => host.close().then(() => one)));
    if (!('found' in started)) return context.skip('no WebGPU adapter, and no software one');
    const environment = started.found;
    const words = (device: string): string[] => [
      ...['prune', model, '--sparsity', '0.5', '--allocation', 'uniform', '--calibration', texts.calibration],
      ...['--validation', texts.validation, '--device', device, '--out', join(dir, device), '--json', ...SMALL],
      ...['--greedy-tokens', '0'], // each shader of the other length would be compiled too
    ];
    const gpu = await layerwiseIn(environment, words('webgpu'));
    expect(gpu.stderr).not.toMatch(/layerwise:/);
    const cpu = await layerwise(...words('cpu'));
    const [a, b] = [gpu, cpu].map(({ stdout }) => JSON.parse(stdout));
    expect(a.dense.validation).toBeCloseTo(b.dense.validation, 2);
    expect(a.chosen.validation / b.chosen.validation).toBeCloseTo(1, 2);
  });
});
