// Walks through the header of a file, a window at a time. What is read next is checked against the bytes that remain, so
// that a length in the file never decides alone how much memory is taken.

import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { allocate } from '../checkpoint/index.js';
import { refuseFile } from './refuse.js';

const WINDOW = 1 << 20;

export class Cursor {
  readonly path: string;
  /** Where the next byte is. */
  position = 0;
  readonly #handle: FileHandle;
  /** The size of the file, and where a header has to end. */
  readonly #size: number;
  readonly #limit: number;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(handle: FileHandle, path: string, size: number, limit: number) {
    this.#handle = handle;
    this.path = path;
    this.#size = size;
    this.#limit = limit;
  }

  get left(): number {
    return this.#limit - this.position;
  }

  /** The next bytes, valid until the next call. @throws CheckpointError E_CHECKPOINT_GGUF where fewer remain */
  bytes(length: number): Buffer {
    if (length > this.left) {
      const where = this.#limit < this.#size ? `a header of at most ${this.#limit} bytes` : 'more of the header';
      throw refuseFile(this.path, where, `${length} bytes at ${this.position} in a file of ${this.#size}`);
    }
    const end = this.position + length;
    if (this.position < this.#start || end > this.#start + this.#window.length) this.#fill(length);
    const at = this.position - this.#start;
    this.position = end;
    return this.#window.subarray(at, at + length);
  }

  #fill(length: number): void {
    const wanted = Math.min(this.left, Math.max(length, WINDOW));
    const window = Buffer.from(allocate(wanted, this.path).buffer);
    for (let done = 0; done < wanted; ) {
      const read = readSync(this.#handle.fd, window, done, wanted - done, this.position + done);
      if (read === 0) throw refuseFile(this.path, `${this.position + wanted} bytes`, 'a file that became shorter');
      done += read;
    }
    [this.#window, this.#start] = [window, this.position];
  }

  u32(): number {
    return this.bytes(4).readUInt32LE();
  }

  u64(): bigint {
    return this.bytes(8).readBigUInt64LE();
  }

  /** A count of things that take at least `least` bytes each. */
  count(what: string, least: number): number {
    const count = this.u64();
    if (count * BigInt(least) <= BigInt(this.left)) return Number(count);
    throw refuseFile(this.path, `at most ${Math.floor(this.left / least)} ${what} in ${this.left} bytes`, `${count}`);
  }

  /** A string of at most `most` bytes. */
  text(most: number, what: string): string {
    const length = this.count(`bytes of ${what}`, 1);
    if (length > most) throw refuseFile(this.path, `${what} of at most ${most} bytes`, `${length}`);
    const bytes = this.bytes(length);
    try {
      return DECODER.decode(bytes);
    } catch {
      throw refuseFile(this.path, `${what} in UTF-8`, 'other bytes');
    }
  }
}

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
