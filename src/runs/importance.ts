// The calibration text of a run with how much its tokens count (--hessian loss). The roots are one file of the workspace, so an
// interrupted run does not measure them again: the SHA-256 of the rest in hexadecimal, then float32 by block, site and chunk.

import { readFile } from 'node:fs/promises';
import { type OnProgress, type Own, sha256, writeFileAtomic } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { emptyImportance, measureImportance } from '../profile/index.js';
import { type Activations, type Importance, requireText, type Samples, type Text } from '../stream/index.js';
import type { HessianKind } from './defaults.js';
import type { Workspace } from './workspace.js';

type Where = {
  readonly model: Model;
  readonly engine: Engine;
  readonly workspace: Pick<Workspace, 'at'>;
  readonly onProgress: OnProgress;
};

/** `text` itself where all tokens count alike; `own` closes what is added to it. */
export async function weighTokens(
  own: Own,
  hessian: HessianKind,
  text: Samples | undefined,
  { model, engine, workspace, onProgress }: Where,
): Promise<Samples | undefined> {
  if (hessian === 'output' || !text) return text;
  const weighed = requireText(text, '--hessian loss');
  const path = workspace.at('importance.bin');
  const kept = await readFile(path).then(checked, () => undefined);
  if (kept) return { ...text, importance: await unpack(own, model, weighed, kept) };
  const importance = await measureImportance(own, engine, model, weighed, onProgress);
  const bytes = await pack(importance);
  await writeFileAtomic(path, Buffer.concat([Buffer.from(sha256(bytes)), bytes]));
  return { ...text, importance };
}

const DIGEST = 64;

/** The bytes after the digest; undefined if the file is damaged. */
function checked(file: Buffer): Uint8Array | undefined {
  const bytes = Uint8Array.from(file.subarray(DIGEST)); // a copy, so that float32 views are aligned
  return file.subarray(0, DIGEST).toString('latin1') === sha256(bytes) ? bytes : undefined;
}

async function pack(importance: Importance): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const store of storesOf(importance)) {
    for (let chunk = 0; chunk < store.chunks.length; chunk++) {
      const { buffer, byteOffset, byteLength } = await store.read(chunk);
      parts.push(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return Buffer.concat(parts);
}

async function unpack(own: Own, model: Model, text: Text, bytes: Uint8Array): Promise<Importance> {
  const importance = await emptyImportance(own, model, text);
  let at = 0;
  for (const store of storesOf(importance)) {
    for (const [chunk, windows] of store.chunks.entries()) {
      const count = windows * store.length;
      await store.write(chunk, new Float32Array(bytes.buffer, at, count).slice());
      at += 4 * count;
    }
  }
  return importance;
}

const storesOf = (importance: Importance): readonly Activations[] =>
  importance.flatMap((sites) => Object.values(sites));
