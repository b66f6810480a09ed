// Peers of the sparse runtime on the same weights and threads: ONNX Runtime in float32 through the project's own engine
// (each block a graph over one token, or over the prompt; no cache of keys, which flatters it), and llama.cpp through
// node-llama-cpp, where it was installed (npm install --prefix bench/peers/llama-cpp). Each takes turns with the anchor.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Contender, measureSpeeds } from '#src/api';
import { createOrtEngine, type Session } from '#src/engine';
import { blockGraph, headGraph, openModel } from '#src/model';
import { median } from './median.js';
import { GGUF_TYPES, writeGguf } from './peers/gguf.js';
import { SHAPE, writeSyntheticCheckpoint } from './synthetic.js';

type Speed = { readonly tokensPerSecond: number; readonly ratio: number };
/** `ratio`: how many times as fast the anchor is. */
export type PeerSpeeds = { readonly name: string; readonly decode: Speed; readonly prefill: Speed };
type Options = {
  readonly tokens: number;
  readonly prompt: number;
  readonly turns: number;
  readonly threads: number;
  readonly scratch: string;
};
type Peer = {
  readonly name: string;
  decode(tokens: number): Promise<number>;
  prefill(tokens: number): Promise<number>;
  close(): Promise<void>;
};

const LLAMA_CPP = fileURLToPath(new URL('../../bench/peers/llama-cpp/', import.meta.url));

export async function measurePeers(anchor: Contender, options: Options): Promise<readonly PeerSpeeds[]> {
  const results: PeerSpeeds[] = [];
  const take = async (peer: Peer): Promise<void> => {
    results.push(await compare(anchor, peer, options));
    await peer.close();
  };
  await take(await startOnnx(options));
  if (!hasLlamaCpp()) {
    console.error(`${NO_LLAMA_CPP}; it is left out.`);
    return results;
  }
  for (const type of GGUF_TYPES) {
    const path = join(options.scratch, `${type}.gguf`);
    writeGguf(path, type);
    await take(await startLlamaCpp(`llama.cpp ${type}`, path, options.threads));
  }
  return results;
}

const NO_LLAMA_CPP = 'llama.cpp is not installed (npm install --prefix bench/peers/llama-cpp)';

const hasLlamaCpp = (): boolean => existsSync(join(LLAMA_CPP, 'node_modules'));

/** llama.cpp with one file. @throws Error where it is not installed */
export async function measureGguf(
  anchor: Contender,
  path: string,
  options: Omit<Options, 'scratch'>,
): Promise<PeerSpeeds> {
  if (!hasLlamaCpp()) throw new Error(NO_LLAMA_CPP);
  const peer = await startLlamaCpp('llama.cpp', resolve(path), options.threads);
  const speeds = await compare(anchor, peer, options);
  await peer.close();
  return speeds;
}

/** Medians over turns; the first turn of each warms up. */
async function compare(
  anchor: Contender,
  peer: Peer,
  { tokens, prompt, turns }: Omit<Options, 'scratch'>,
): Promise<PeerSpeeds> {
  const [decode, prefill]: [number[], number[]] = [[], []];
  const ours: [number[], number[]] = [[], []];
  for (let turn = 0; turn <= turns; turn++) {
    const own = await measureSpeeds([anchor], { tokens, prompt, turns: 1, onProgress: () => {} });
    const theirs = [await peer.decode(tokens), await peer.prefill(prompt)] as const;
    if (turn === 0) continue;
    ours[0].push(own.decode[0]!.tokensPerSecond);
    ours[1].push(own.prefill[0]!.tokensPerSecond);
    decode.push(theirs[0]);
    prefill.push(theirs[1]);
  }
  const speed = (own: readonly number[], their: readonly number[]): Speed => {
    return { tokensPerSecond: median(their), ratio: median(own) / median(their) };
  };
  return { name: peer.name, decode: speed(ours[0], decode), prefill: speed(ours[1], prefill) };
}

async function startOnnx({ threads, prompt, scratch }: Options): Promise<Peer> {
  const dir = join(scratch, 'onnx');
  writeSyntheticCheckpoint(dir, { kind: 'none' });
  const model = await openModel(dir);
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads });
  const head = await engine.load(headGraph(model, 'logits'));
  const blocks = Array.from({ length: SHAPE.blocks }, (_, block) => block);
  const timed = async (length: number, sessions: readonly Session[], times: number): Promise<number> => {
    const started = performance.now();
    for (let i = 0; i < times; i++) {
      let x = new Float32Array(length * SHAPE.hidden).map((_, j) => Math.sin(j));
      for (const session of sessions) {
        const { y } = await session.run({ x: { type: 'f32', shape: [1, length, SHAPE.hidden], data: x } }, true);
        x = y!.data as Float32Array<ArrayBuffer>;
      }
      const last = x.slice(-SHAPE.hidden);
      await head.run({ x: { type: 'f32', shape: [1, SHAPE.hidden], data: last } });
    }
    return (length * times * 1000) / (performance.now() - started);
  };
  // The two sets of sessions each hold the weights, packed: one at a time.
  let open: { readonly length: number; readonly sessions: readonly Session[] } | undefined;
  const sessionsFor = async (length: number): Promise<readonly Session[]> => {
    if (open?.length === length) return open.sessions;
    for (const session of open?.sessions ?? []) await session.release();
    const sessions: Session[] = [];
    for (const block of blocks)
      sessions.push(await engine.load(blockGraph(model, block, { length, outputs: 'hidden' })));
    open = { length, sessions };
    return sessions;
  };
  return {
    name: 'ONNX Runtime f32',
    decode: async (tokens) => timed(1, await sessionsFor(1), tokens),
    prefill: async () => timed(prompt, await sessionsFor(prompt), 1),
    close: async () => {
      for (const session of open?.sessions ?? []) await session.release();
      await engine.close();
    },
  };
}

async function startLlamaCpp(name: string, path: string, threads: number): Promise<Peer> {
  const child: ChildProcess = spawn(process.execPath, ['serve.mjs', path, String(threads)], {
    cwd: LLAMA_CPP,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<{ tokensPerSecond: number }> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended without an answer`);
    return JSON.parse(value as string) as { tokensPerSecond: number };
  };
  await answer(); // ready
  const ask = async (task: string, tokens: number): Promise<number> => {
    child.stdin!.write(`${task} ${tokens}\n`);
    return (await answer()).tokensPerSecond;
  };
  return {
    name,
    decode: (tokens) => ask('decode', tokens),
    prefill: (tokens) => ask('prefill', tokens),
    close: async () => {
      child.stdin!.end();
      await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}
