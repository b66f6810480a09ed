// llama.cpp through node-llama-cpp, in a process of its own: loads a GGUF file and answers each line on stdin,
// `decode <tokens>` or `prefill <tokens>`, with the tokens a second, so that peers can take turns. CPU only.
//
//   node bench/peers/llama-cpp/serve.mjs <model.gguf> <threads>

import { createInterface } from 'node:readline';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [path, threads] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const context = await model.createContext({ threads: Number(threads), contextSize: 512, batchSize: 256 });
const sequence = context.getSequence();
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const [task, count] = [line.split(' ')[0], Number(line.split(' ')[1])];
  await sequence.clearHistory();
  let started = performance.now();
  if (task === 'prefill') {
    await sequence.evaluateWithoutGeneratingNewTokens(Array.from({ length: count }, (_, i) => 300 + i));
  } else {
    let made = -1; // the first token ends the prompt's pass
    for await (const _ of sequence.evaluate([1, 300, 301, 302], { temperature: 0, yieldEogToken: true })) {
      if (made === -1) started = performance.now();
      if (++made === count) break;
    }
  }
  console.log(JSON.stringify({ task, tokensPerSecond: (1000 * count) / (performance.now() - started) }));
}
