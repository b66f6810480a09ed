// Is the twin of a GGUF file the model that llama.cpp reads from it? The same text through both: first the tokens, then, at
// each position, the distribution of the next token. One JSON document goes to stdout. CPU only.
//
//   npm run build && npm install --prefix bench/peers/llama-cpp
//   node bench/peers/llama-cpp/compare.mjs <model.gguf> <text file> [positions of the distributions, 256]
//
// llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights, and the twin's weights are F16: so
// small differences stay. A file of F32 weights has neither, and differs in the order of sums alone.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { openForText } from '../../../dist/generation/index.js';
import { resolveSource } from '../../../dist/runs/index.js';

const STEP = 16;
const [path, textPath, count = '256'] = process.argv.slice(2);
const text = readFileSync(textPath, 'utf8');
const threads = availableParallelism();

const { path: dir } = await resolveSource(path, () => {});
const ours = await openForText(dir, { threads, sequences: 1, onProgress: () => {} });
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });

/** Without special tokens around the text; `special`: what looks like one in the text is one. */
const theirs = [...model.tokenize(text, true)];
const mine = [...ours.tokenizer.encode(text, false)];
const first = mine.findIndex((id, i) => id !== theirs[i]);
const bos = ours.bos === undefined ? [] : [ours.bos];
const tokens = [...bos, ...mine].slice(0, Number(count));

const context = await model.createContext({
  threads,
  contextSize: tokens.length + 8,
  batchSize: tokens.length + 8,
  flashAttention: false,
  experimentalKvCacheKeyType: 'F32',
  experimentalKvCacheValueType: 'F32',
});
const theirSequence = context.getSequence();
const sequence = ours.open();

const logProbabilities = (logits) => {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of logits) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  const shift = largest + Math.log(sum);
  return Float64Array.from(logits, (value) => value - shift);
};
const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

const sums = { sameTop: 0, divergence: 0, ourLoss: 0, theirLoss: 0, positions: 0 };
const largest = { logProbability: 0, divergence: 0 };
const { vocabulary } = ours.info;
for (let at = 0; at < tokens.length - 1; at += STEP) {
  const part = tokens.slice(at, Math.min(at + STEP, tokens.length - 1));
  const [logits] = await ours.step([{ sequence, tokens: part, logits: 'all' }]);
  const results = await theirSequence.controlledEvaluate(
    part.map((token) => [token, { generateNext: { logits: true } }]),
  );
  part.forEach((_, i) => {
    const row = new Float64Array(vocabulary).fill(Number.NEGATIVE_INFINITY);
    for (const [token, value] of results[i].next.logits) row[token] = value;
    const p = logProbabilities(row);
    const q = logProbabilities(logits.subarray(i * vocabulary, (i + 1) * vocabulary));
    const [top, next] = [argmax(p), tokens[at + i + 1]];
    let divergence = 0;
    for (let v = 0; v < vocabulary; v++) if (p[v] > -50) divergence += Math.exp(p[v]) * (p[v] - q[v]);
    sums.positions++;
    sums.sameTop += Number(argmax(q) === top);
    sums.divergence += divergence;
    sums.theirLoss -= p[next];
    sums.ourLoss -= q[next];
    largest.logProbability = Math.max(largest.logProbability, Math.abs(p[top] - q[top]));
    largest.divergence = Math.max(largest.divergence, divergence);
  });
}

console.log(
  JSON.stringify(
    {
      tokens: { ours: mine.length, llamaCpp: theirs.length, firstDifference: first < 0 ? null : first },
      positions: sums.positions,
      sameTop: sums.sameTop,
      loss: { ours: sums.ourLoss / sums.positions, llamaCpp: sums.theirLoss / sums.positions },
      divergence: { mean: sums.divergence / sums.positions, largest: largest.divergence },
      largestDifferenceOfTopLogProbability: largest.logProbability,
    },
    null,
    2,
  ),
);
await ours.close();
await llama.dispose();
process.exit(0);
