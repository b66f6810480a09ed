// Peak resident memory against depth: a checkpoint with LLaMA2-7B's shapes (sparse files of zeros, with the norms at 1),
// 4 and 32 blocks, pruned and evaluated on 8 windows of 512 tokens, each in a process of its own.
//
//   npm run bench:memory [-- --blocks 4,32]
//
// A checkpoint of 32 blocks is a 13 GB file with holes; the run writes as much again. Use --blocks 4,8 on a small disk.

import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { blocks: { type: 'string', default: '4,32' }, dir: { type: 'string', default: tmpdir() } },
});
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const D = 4096;
const F = 11008;
const V = 2048;

const scratch = mkdtempSync(join(values.dir, 'layerwise-memory-'));
try {
  const text = join(scratch, 'text.txt');
  writeFileSync(text, 'one two three four five six seven eight nine ten '.repeat(2000));
  for (const blocks of values.blocks.split(',').map(Number)) {
    const checkpoint = join(scratch, `blocks-${blocks}`);
    writeCheckpoint(checkpoint, blocks);
    const out = join(scratch, `out-${blocks}`);
    const run = spawnSync(
      process.execPath,
      [main, 'prune', checkpoint, '--sparsity', '0.5', '--beta', '0.001', '--calibration', text]
        .concat(['--calibration-samples', '8', '--calibration-order', 'sequential', '--sequence-length', '512'])
        .concat(['--out', out, '--json']),
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
    );
    if (run.status !== 0) throw new Error(`prune ended with ${run.status}: ${run.stdout}`);
    const { peakMemoryBytes, seconds } = JSON.parse(run.stdout) as { peakMemoryBytes: number; seconds: number };
    console.log(JSON.stringify({ blocks, peakGigabytes: peakMemoryBytes / 1e9, seconds }));
    rmSync(out, { recursive: true });
    rmSync(checkpoint, { recursive: true });
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function writeCheckpoint(dir: string, blocks: number): void {
  mkdirSync(dir);
  const config = {
    model_type: 'llama',
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: blocks,
    vocab_size: V,
  };
  const heads = { num_attention_heads: 32, num_key_value_heads: 32, max_position_embeddings: 4096 };
  writeFileSync(
    join(dir, 'config.json'),
    JSON.stringify({ ...config, ...heads, rms_norm_eps: 1e-5, tie_word_embeddings: true }),
  );
  const words = Object.fromEntries(Array.from({ length: 256 }, (_, i) => [byteSymbol(i), i]));
  writeFileSync(
    join(dir, 'tokenizer.json'),
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: { type: 'BPE', dropout: null, unk_token: null, vocab: words, merges: [] },
    }),
  );
  writeFileSync(join(dir, 'tokenizer_config.json'), '{}');
  const shapes: [name: string, shape: number[]][] = [['model.embed_tokens.weight', [V, D]]];
  for (let block = 0; block < blocks; block++) {
    const at = `model.layers.${block}.`;
    shapes.push([`${at}input_layernorm.weight`, [D]], [`${at}post_attention_layernorm.weight`, [D]]);
    for (const kind of ['q', 'k', 'v', 'o']) shapes.push([`${at}self_attn.${kind}_proj.weight`, [D, D]]);
    shapes.push([`${at}mlp.gate_proj.weight`, [F, D]], [`${at}mlp.up_proj.weight`, [F, D]]);
    shapes.push([`${at}mlp.down_proj.weight`, [D, F]]);
  }
  shapes.push(['model.norm.weight', [D]]);
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const norms: number[] = [];
  let at = 0;
  for (const [name, shape] of shapes) {
    const length = 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F16', shape, data_offsets: [at, at + length] };
    if (shape.length === 1) norms.push(at);
    at += length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const file = openSync(join(dir, 'model.safetensors'), 'w');
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  writeSync(file, size);
  writeSync(file, json);
  ftruncateSync(file, 8 + json.length + at);
  const ones = Buffer.from(new Uint16Array(D).fill(0x3c00).buffer);
  for (const offset of norms) writeSync(file, ones, 0, ones.length, 8 + json.length + offset);
  // Embeddings that are not zero, so that norms and losses are numbers.
  const rows = Buffer.from(Uint16Array.from({ length: 256 * D }, (_, i) => 0x2e00 + ((i * 7919) % 512)).buffer);
  writeSync(file, rows, 0, rows.length, 8 + json.length);
  closeSync(file);
}

/** GPT-2's byte alphabet: printable bytes stand for themselves, the others for characters from 256 on. */
function byteSymbol(byte: number): string {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  if (printable(byte)) return String.fromCodePoint(byte);
  let code = 256;
  for (let b = 0; b < byte; b++) if (!printable(b)) code++;
  return String.fromCodePoint(code);
}
