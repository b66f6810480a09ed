// Lines of a gzipped file, such as the shards of C4. Only the lines that are needed are inflated, and never more bytes than
// a text may have, so that a small file cannot become a large one in memory.

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
      const line = lines.length + 1 + brokenLine(chunk);
      const message = `${path}: line ${line}: expected UTF-8 in the gzipped text; convert the file.`;
      throw new CheckpointError('E_TEXT_ENCODING', message, { file: path, line }, { cause });
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

/** The line that is not UTF-8, among the lines in a chunk; if none is found, the first one, of which only the end is known. */
function brokenLine(chunk: Uint8Array = new Uint8Array()): number {
  let line = 0;
  for (let from = chunk.indexOf(0x0a); from >= 0; line++) {
    const next = chunk.indexOf(0x0a, from + 1);
    const isLast = next < 0;
    const part = chunk.subarray(from + 1, isLast ? chunk.length : next);
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(part, { stream: isLast });
    } catch {
      return line + 1;
    }
    from = next;
  }
  return 0;
}
