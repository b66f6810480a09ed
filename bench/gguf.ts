// How fast a packed model decodes and reads prompts against llama.cpp with a GGUF file, in turns: say of the same model in other
// bits. llama.cpp runs through node-llama-cpp (npm install --prefix bench/peers/llama-cpp).
//
//   npm run bench:gguf -- model.lw model.gguf [--threads 2 --turns 5 --tokens 64 --prompt 256]

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { describeContender } from '#src/api';
import { openDecoder, readPackedModel } from '#src/decoder';
import { openPacked } from '#src/packed';
import { measureGguf } from './peers.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '64' },
    prompt: { type: 'string', default: '256' },
  },
});
const [path, gguf] = positionals;
if (!path || !gguf) throw new Error('usage: npm run bench:gguf -- <model.lw> <model.gguf>');
const [threads, turns, tokens, prompt] = [values.threads, values.turns, values.tokens, values.prompt].map(Number) as [
  number,
  number,
  number,
  number,
];

const packed = await openPacked(path);
const described = await readPackedModel(packed);
const decoder = await openDecoder(packed, { threads, positions: Math.max(prompt, tokens + 16) });
const anchor = { ...describeContender(packed, described), decoder };
const { decode, prefill } = await measureGguf(anchor, gguf, { tokens, prompt, turns, threads });
const round = (n: number): number => Number(n.toPrecision(4));
const line = ({ tokensPerSecond, ratio }: typeof decode): string =>
  `${round(tokensPerSecond * ratio)} tokens/s, llama.cpp ${round(tokensPerSecond)}: ${round(ratio)} ×`;
console.log(`decoding: ${line(decode)}\nprompts:  ${line(prefill)}`);
await decoder.close();
await packed.close();
