// npm run soak -- [model] [--seconds 1800] [--clients 12] [--seed 0] [--json]
//
// Serves a model (the demo's checkpoint unless another is named), lets clients loose on it, and asks it to stop. Fails
// where the server crashes, where an accepted request is not answered, where resident memory grows by more than 5 %
// between the second and the last quarter of the time, and where it does not stop when asked to.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runLoad } from './load.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '1800' },
    clients: { type: 'string', default: '12' },
    seed: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
});
const model = positionals[0] ?? join(root, 'demo/model');
// What is resident is to be what is held: garbage is collected every second (left alone it comes and goes by a third of all
// memory), and malloc keeps few arenas.
const collect = 'data:text/javascript,setInterval(globalThis.gc, 1000).unref()';
const flags = ['--max-semi-space-size=2', '--expose-gc', '--import', collect];
const words = ['serve', model, '--port', '0', '--sequences', '4', '--queue', '8', '--grace', '10'];
const server = spawn(process.execPath, [...flags, join(root, 'dist/cli/main.js'), ...words], {
  env: { ...process.env, MALLOC_ARENA_MAX: '2', LAYERWISE_API_KEY: undefined },
  stdio: ['ignore', 'ignore', 'pipe'],
});
const ended = new Promise<number | null>((resolve) => server.once('exit', resolve));
process.once('exit', () => server.kill('SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

let told = '';
const url = await new Promise<string>((resolve, reject) => {
  server.stderr.on('data', (chunk: Buffer) => {
    told = (told + chunk).slice(-10_000);
    const found = /listening on (\S+);/.exec(told);
    if (found) resolve(found[1]!);
  });
  ended.then((code) => reject(new Error(`the server ended with ${code} before it listened:\n${told}`)));
});
const [card] = ((await (await fetch(`${url}/v1/models`)).json()) as { data: [{ max_model_len: number }] }).data;
const page = await (await fetch(url)).text();
let nextTold = 0;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const crashed = ended.then((code) => {
  throw new Error(`the server ended with ${code}:\n${told}`);
});
crashed.catch(() => {}); // told by the race below, or expected afterwards
const report = await Promise.race([
  crashed,
  runLoad({
    ...{ url, maxPositions: card.max_model_len, chat: page.includes('data-chat="true"') },
    ...{ seconds: Number(values.seconds), clients: Number(values.clients), seed: Number(values.seed) },
    onSample: ({ seconds, bytes }) => {
      if (seconds < nextTold) return;
      console.error(`${Math.round(seconds)} s: ${megabytes(bytes)} resident`);
      nextTold += 30;
    },
  }),
]);
const problems = [...report.problems];
server.kill('SIGTERM');
const late = setTimeout(() => server.kill('SIGKILL'), 20_000);
const code = await ended;
clearTimeout(late);
if (code !== 0) problems.push(`asked to stop, the server ended with ${code}:\n${told}`);

const { acts, outcomes, generatedTokens, memory } = report;
if (values.json) console.log(JSON.stringify({ ...report, problems }, null, 2));
else {
  const counts = Object.entries(outcomes).map(([name, count]) => `${count} ${name}`);
  console.log(`${acts} acts in ${values.seconds} s: ${counts.join(', ')}; ${generatedTokens} tokens`);
  const growth = `${(100 * memory.growth).toFixed(1)} %`;
  console.log(
    `resident: ${megabytes(memory.before)} in the second quarter, ${megabytes(memory.after)} in the last (${growth})`,
  );
  for (const problem of problems) console.log(`problem: ${problem}`);
}
process.exitCode = problems.length > 0 ? 1 : 0;
