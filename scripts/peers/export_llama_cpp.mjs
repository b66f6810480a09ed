// Judges `layerwise export --to gguf` by llama.cpp (node-llama-cpp, pinned in bench/peers/llama-cpp): its tokens of some texts
// against ours, and its probabilities against those of the checkpoint in our decoder, which is float32 throughout.
//
//   npm install --prefix bench/peers/llama-cpp; npm run build
//   node scripts/peers/export_llama_cpp.mjs <checkpoint> <model.gguf> …
//
// Prints a JSON line for each file: tokens of how many texts are equal; the largest |p − p'| over the 20 likeliest tokens of
// each place; the mean KL divergence over these 20; how often the likeliest token is the same; the negative log-likelihood of
// the text by both, in nats a token. llama.cpp computes Q8_0 and Q4_0 with activations in 8 bits.

import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const PEER = 'node-llama-cpp'; // not one of our own packages
const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(`${root}bench/peers/llama-cpp/package.json`);
const { getLlama } = await import(pathToFileURL(require.resolve(PEER)).href);
const { openForText, scoreToken } = await import(`${root}dist/generation/index.js`);

const [checkpoint, ...files] = process.argv.slice(2);
const STORY = `The old lighthouse keeper climbed the stairs as he had every evening for thirty years. At the top, the lamp was cold, and
the sea below was grey and restless. He struck a match, and for a moment the whole room glowed. "It won't be long now," he said
to the cat, which had followed him. In 1987 there were 14 keepers on this coast; now there was one.`;
const TEXTS = [
  STORY,
  'Hello world',
  ' leading and  double   spaces\t\ttabs\n\n\nlines \r\n end ',
  "I'm you're they'll WE'VE it's O'Neil",
  '3.14159 1,000,000 2024-11-30 x1y22z333',
  'Grüße, naïve café, Ελληνικά, Русский, 日本語テキスト, 한국어, עברית',
  '🙂🚀 👩‍👩‍👧 — “quotes” … ½ ™',
  'for (let i = 0; i < 10; i++) { a[i] += b["k"] ?? 0; } // done',
  'a\u00a0b\u2003c\u200bd',
];
const PLACES = 96;
const TOP = 20;

const ours = await openForText(checkpoint, { threads: 2, sequences: 1, onProgress: () => {} });
const ids = [...ours.tokenizer.encode(STORY)].slice(0, Math.min(PLACES, ours.info.maxPositions));
const sequence = ours.open();
const [logits] = await ours.step([{ sequence, tokens: ids, logits: 'all' }]);
const V = ours.info.vocabulary;
const expected = ids.map((_, i) => scoreToken(logits.subarray(i * V, (i + 1) * V), ids[i + 1] ?? 0, TOP));

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
for (const file of files) {
  const model = await llama.loadModel({ modelPath: file, useMmap: false });
  const plain = TEXTS.map((text) => [...ours.tokenizer.encode(text, false)]);
  const theirs = TEXTS.map((text) => model.tokenize(text, false).map(Number));
  const differing = TEXTS.filter((_, i) => JSON.stringify(plain[i]) !== JSON.stringify(theirs[i]));
  const context = await model.createContext({ contextSize: ids.length + 64, threads: 2 });
  // A window that llama.cpp does not have ends the context.
  const places = Math.min(ids.length, model.trainContextSize);
  const results = await context
    .getSequence()
    .controlledEvaluate(ids.slice(0, places).map((id) => [id, { generateNext: { probabilities: true } }]));
  let [worst, same, divergence, nll, ourNll, scored] = [0, 0, 0, 0, 0, 0];
  for (const [i, { next }] of results.entries()) {
    const { top, logprob } = expected[i];
    for (const { token, logprob: own } of top) {
      const p = next.probabilities.get(token) ?? 0;
      worst = Math.max(worst, Math.abs(p - Math.exp(own)));
      divergence += Math.exp(own) * (own - Math.log(Math.max(p, 1e-12)));
    }
    if ([...next.probabilities.keys()][0] === top[0].token) same++;
    if (i + 1 === places) continue;
    scored++;
    ourNll -= logprob;
    nll -= Math.log(Math.max(next.probabilities.get(ids[i + 1]) ?? 0, 1e-12));
  }
  const line = {
    file: file.split('/').at(-1),
    tokens: `${TEXTS.length - differing.length} of ${TEXTS.length}`,
    differing: differing.map((text) => text.slice(0, 30)),
    worst,
    divergence: divergence / results.length,
    same: `${same} of ${results.length}`,
    nll: nll / scored,
    ourNll: ourNll / scored,
    template: model.fileInfo.metadata.tokenizer.chat_template !== undefined,
  };
  console.log(JSON.stringify(line));
  await model.dispose();
}
await ours.close();
process.exit(0);
