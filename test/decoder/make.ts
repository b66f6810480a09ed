// A checkpoint opened for decoding, for tests: packed in memory, a decoder over it, and its logits token by token.

import { silent } from '../../src/base/index.js';
import { type Decoder, type DecoderOptions, openDecoder } from '../../src/decoder/index.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { type PackSettings, packInMemory } from '../../src/packed/index.js';

export const EXACT: PackSettings = { values: 'f32', layout: 'auto', head: 'f32' };
export const INT8: PackSettings = { values: 'int8', layout: 'auto', head: 'int8' };

/** The decoder of the checkpoint in `dir`. */
export async function openCheckpoint(
  dir: string,
  settings: PackSettings,
  options: DecoderOptions = { threads: 1 },
): Promise<Decoder> {
  const { checkpoint, config, tensorNames } = await openModel(dir);
  const packed = await packInMemory({ checkpoint, tensors: describeTensors(config, tensorNames) }, settings, silent);
  return await openDecoder(packed, options);
}

/** Logits of all positions of `tokens`, `stride` tokens to a step. */
export async function decodeAll(
  decoder: Decoder,
  tokens: readonly number[],
  stride = tokens.length,
): Promise<Float32Array> {
  const sequence = decoder.open();
  const out = new Float32Array(tokens.length * decoder.info.vocabulary);
  for (let at = 0; at < tokens.length; at += stride) {
    const part = { sequence, tokens: tokens.slice(at, at + stride), logits: 'all' as const };
    const [logits] = await decoder.step([part]);
    out.set(logits!, at * decoder.info.vocabulary);
  }
  decoder.release(sequence);
  return out;
}
