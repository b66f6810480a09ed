// The windows of a text as they lie in a store: a line of JSON, then the tokens as little-endian int32, then a label for each
// window where there are any. So a worker needs neither the text nor its tokenizer.

import { CheckpointError } from '../base/index.js';
import type { Windows } from '../text/index.js';

const FORMAT = 'layerwise-windows';
/** Of the line of JSON. */
const MOST_HEAD = 200;

export function packWindows({ length, windows, labels }: Windows): Uint8Array {
  const head = JSON.stringify({ format: FORMAT, version: 1, length, count: windows.length, labels: !!labels });
  const numbers = new Int32Array(length * windows.length + (labels?.length ?? 0));
  for (const [i, window] of windows.entries()) numbers.set(window, i * length);
  if (labels) numbers.set(labels, length * windows.length);
  return Buffer.concat([Buffer.from(`${head}\n`), new Uint8Array(numbers.buffer)]);
}

/** @throws CheckpointError E_TEXT_WINDOWS where they are not what `packWindows` makes */
export function unpackWindows(bytes: Uint8Array, name: string): Windows {
  const end = bytes.subarray(0, MOST_HEAD).indexOf(10);
  const head = parseHead(Buffer.from(bytes.subarray(0, Math.max(0, end))).toString('utf8'));
  const refuse = (expected: string, got: string): never => {
    throw new CheckpointError('E_TEXT_WINDOWS', `${name}: expected ${expected}, got ${got}. Start the run again.`, {
      name,
    });
  };
  if (!head) return refuse('windows of a text', 'other bytes');
  const { length, count, labels } = head;
  const expected = 4 * count * (length + (labels ? 1 : 0));
  const body = bytes.subarray(end + 1);
  if (body.byteLength !== expected) return refuse(`${expected} bytes of tokens`, `${body.byteLength}`);
  const numbers = new Int32Array(Uint8Array.from(body).buffer); // a copy, so that numbers are aligned
  const windows = Array.from({ length: count }, (_, i) => numbers.slice(i * length, (i + 1) * length));
  return { length, windows, ...(labels ? { labels: numbers.slice(count * length) } : {}) };
}

type Head = { readonly length: number; readonly count: number; readonly labels: boolean };

function parseHead(text: string): Head | undefined {
  try {
    const { format, version, length, count, labels } = JSON.parse(text) as Record<string, unknown>;
    const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
    if (format !== FORMAT || version !== 1 || typeof labels !== 'boolean') return undefined;
    return isCount(length) && isCount(count) ? { length, count, labels } : undefined;
  } catch {
    return undefined;
  }
}
