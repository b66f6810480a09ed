// The members of a tar file: names, places and sizes; nothing is unpacked, so a name leads nowhere. ustar with pax and GNU long
// names. Headers are read one by one, so memory does not grow with the file; each must have its checksum and end inside it.

import { open } from 'node:fs/promises';
import { fileError } from '../../base/index.js';
import { invalidSet } from './set.js';

export type Member = { readonly name: string; readonly offset: number; readonly size: number };

const BLOCK = 512;
/** How far beyond the end is looked. */
const PADDING = 1 << 16;
const MAX_NAME = 1 << 20;
const MAX_MEMBERS = 5_000_000;

type Read = (offset: number, length: number) => Promise<Buffer>;

/** The plain files of a tar, in order. Folders, links and devices are passed over. @throws CheckpointError E_IMAGE_SET; ResourceError */
export async function readTar(path: string): Promise<readonly Member[]> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const read: Read = async (offset, length) => {
        const bytes = Buffer.alloc(length);
        const { bytesRead } = await handle.read(bytes, 0, length, offset);
        if (bytesRead < length)
          throw invalidSet(path, `expected a tar of at least ${offset + length} bytes, got ${size}. Fetch it again.`);
        return bytes;
      };
      return await walk(path, size, read);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
}

type Override = { readonly path?: string; readonly size?: number };

async function walk(path: string, end: number, read: Read): Promise<readonly Member[]> {
  const members: Member[] = [];
  let next: Override = {};
  for (let at = 0; at < end; ) {
    const header = await read(at, BLOCK);
    if (header.every((byte) => byte === 0)) {
      checkEnd(path, await read(at, Math.min(end - at, PADDING)));
      return members;
    }
    checkHeader(header, path, at);
    const kind = String.fromCharCode(header[156]!);
    const size = next.size ?? numberAt(header, 124, path, at);
    const offset = at + BLOCK;
    if (offset + size > end) {
      throw invalidSet(
        path,
        `expected ${size} bytes of a tar member at byte ${offset}, but the file has ${end}. Fetch it again.`,
      );
    }
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (kind === 'x' || kind === 'L' || kind === 'K' || kind === 'g') {
      if (size > MAX_NAME) throw invalidSet(path, `expected a tar name of at most ${MAX_NAME} bytes, got ${size}.`);
      const body = await read(offset, size);
      if (kind === 'x') next = { ...next, ...readPax(body, path) };
      else if (kind === 'L') next = { ...next, path: textAt(body, 0, size) };
      else if (kind === 'g' && /\d+ (path|size)=/.test(body.toString('latin1')))
        throw invalidSet(path, 'expected no tar header for all members.');
      continue;
    }
    if (kind === 'S')
      throw invalidSet(path, 'expected plain files in a tar, got a sparse one. Create it again with plain files.');
    if (kind === '0' || kind === '\0' || kind === '7') {
      const name = next.path ?? nameOf(header);
      if (!name.endsWith('/')) members.push({ name, offset, size });
      if (members.length > MAX_MEMBERS)
        throw invalidSet(path, `expected a tar of at most ${MAX_MEMBERS} files. Use smaller shards.`);
    }
    next = {};
  }
  throw invalidSet(
    path,
    `expected empty blocks at the end of a tar, got none after ${members.length} files. Fetch it again.`,
  );
}

/** Whoever joins two tars hides the second one behind the end of the first. */
function checkEnd(path: string, rest: Buffer): void {
  if (rest.some((byte) => byte !== 0))
    throw invalidSet(path, 'expected nothing after the end of a tar, got more. Take it apart.');
}

function checkHeader(header: Buffer, path: string, at: number): void {
  const stated = Number.parseInt(textAt(header, 148, 8).trim(), 8);
  let sum = 8 * 32;
  for (const [place, byte] of header.entries()) if (place < 148 || place >= 156) sum += byte;
  if (stated !== sum)
    throw invalidSet(
      path,
      `expected a tar header at byte ${at}, its checksum does not fit. Fetch it again, and unpack .gz first.`,
    );
}

const textAt = (bytes: Buffer, start: number, length: number): string => {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString('utf8');
};

function nameOf(header: Buffer): string {
  const name = textAt(header, 0, 100);
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? textAt(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Octal digits, or from 8 GiB on a binary number. */
function numberAt(header: Buffer, start: number, path: string, at: number): number {
  const field = header.subarray(start, start + 12);
  const digits = textAt(header, start, 12).trim();
  const isBinary = field[0] === 0x80;
  const value = isBinary
    ? Number(field.readBigUInt64BE(4))
    : /^[0-7]+$/.test(digits)
      ? Number.parseInt(digits, 8)
      : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw invalidSet(path, `expected the size of a tar member at byte ${at}, got ${JSON.stringify(digits)}.`);
}

/** Records of the form "length key=value\n". */
function readPax(body: Buffer, path: string): Override {
  const found: { path?: string; size?: number } = {};
  for (let at = 0; at < body.length; ) {
    const [whole, digits, key] = /^(\d{1,7}) ([^=\n]*)=/.exec(body.toString('latin1', at, at + 300)) ?? [];
    const length = Number(digits);
    if (!whole || length <= whole.length || at + length > body.length)
      throw invalidSet(path, 'expected records in a pax header of the tar.');
    const value = body.toString('utf8', at + whole.length, at + length - 1);
    if (key === 'path') found.path = value;
    if (key === 'size') {
      if (!/^\d{1,15}$/.test(value))
        throw invalidSet(path, `expected a size in a pax header of the tar, got ${JSON.stringify(value)}.`);
      found.size = Number(value);
    }
    at += length;
  }
  return found;
}
