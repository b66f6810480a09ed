// Lines of a gzipped file, such as the shards of C4: only as many as are wanted are inflated, and never more bytes than a
// text may have, so that a small file cannot become a large one in memory.

import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CheckpointError } from '../base/index.js';

/** @throws CheckpointError E_TEXT_GZIP, E_TEXT_ENCODING, E_TEXT_LARGE */
export async function unzipLines(
  bytes: Uint8Array,
  path: string,
  limit: number,
  count = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const fail = (code: string, what: string, cause?: unknown): CheckpointError =>
    new CheckpointError(code, `${path}: ${what}.`, { file: path }, { cause });
  const lines: string[] = [];
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (chunk: Uint8Array | undefined): string => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      throw fail('E_TEXT_ENCODING', 'expected UTF-8 in the gzipped text; convert the file', cause);
    }
  };
  const stream = Readable.from([bytes]).pipe(createGunzip());
  let rest: string[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += (chunk as Buffer).length;
      if (size > limit)
        throw fail('E_TEXT_LARGE', `expected at most ${limit} bytes of text, got more; use a part of it`);
      const [first, ...more] = decode(chunk as Buffer).split('\n');
      rest.push(first!);
      if (more.length === 0) continue;
      const last = more.pop()!;
      lines.push(rest.join(''), ...more);
      rest = [last];
      if (lines.length >= count) return lines.slice(0, count);
    }
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw fail('E_TEXT_GZIP', `expected a gzip file; ${(error as Error).message}. Fetch it again`, error);
  } finally {
    stream.destroy();
  }
  const end = rest.join('') + decode(undefined);
  return end === '' ? lines : [...lines, end];
}
