// Both stores keep what was written first, whole: with many writers at once, and on a disk that is full. S3 is a stand-in on this
// machine that knows what the store uses of its protocol, and the official client talks to it.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore, type Store } from '../../src/queue/index.js';

/** As built. */
const QUEUE = new URL('../../dist/queue/index.js', import.meta.url).href;

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

/**
 * Objects by their paths; `If-None-Match: *` refuses to write over one. `full` answers as a service without space does; `broken`
 * closes the connection in the middle of an object.
 */
function standIn(objects: Map<string, Buffer>, state: { full: boolean; broken: boolean }): Server {
  return createServer((request, response) => {
    const path = decodeURIComponent(request.url!.replace(/\?.*/, ''));
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const answer = (status: number, body?: Buffer | string): void => {
        response.writeHead(status, body === undefined ? {} : { 'content-length': Buffer.byteLength(body) });
        response.end(request.method === 'HEAD' ? undefined : body);
      };
      const error = (status: number, code: string): void =>
        answer(status, `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
      const found = objects.get(path);
      if (state.broken && found && request.method === 'GET') {
        response.writeHead(200, { 'content-length': found.length });
        response.write(found.subarray(0, found.length / 2), () => response.destroy());
        return;
      }
      if (request.method === 'DELETE') {
        objects.delete(path);
        return answer(204);
      }
      if (request.method !== 'PUT') return found ? answer(200, found) : error(404, 'NoSuchKey');
      if (state.full) return error(507, 'InsufficientStorage');
      if (found && request.headers['if-none-match'] === '*') return error(412, 'PreconditionFailed');
      objects.set(path, unchunk(Buffer.concat(parts), request.headers['content-encoding']));
      answer(200);
    });
  });
}

/** The client sends streams in chunks that carry their size, and a checksum after the last. */
function unchunk(body: Buffer, encoding: string | undefined): Buffer {
  if (!encoding?.includes('aws-chunked')) return body;
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.subarray(at, end).toString('latin1'), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

let folder: string;
const objects = new Map<string, Buffer>();
const state = { full: false, broken: false };
const server = standIn(objects, state);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'layerwise-store-'));
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  process.env.AWS_ENDPOINT_URL_S3 = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env.AWS_REGION = 'eu-west-1';
  process.env.AWS_ACCESS_KEY_ID = 'test';
  process.env.AWS_SECRET_ACCESS_KEY = 'test-secret';
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const PLACES = [
  ['a directory', () => join(folder, 'store')],
  ['a bucket', () => 's3://bucket/some/prefix'],
] as const;

for (const [name, place] of PLACES) {
  describe(name, () => {
    let store: Store;
    beforeAll(async () => {
      store = await openStore(place());
    });
    afterAll(() => store.close());

    test('keeps what was written first', async () => {
      expect(await store.get('outcomes/a')).toBeUndefined();
      expect(await store.putOnce('outcomes/a', bytesOf('first'))).toBe('put');
      expect(await store.putOnce('outcomes/a', bytesOf('second'))).toBe('there');
      expect(Buffer.from((await store.get('outcomes/a'))!).toString()).toBe('first');
    });

    test('forgets what is removed, and takes it again', async () => {
      await store.putOnce('outcomes/gone', bytesOf('first'));
      await store.remove('outcomes/gone');
      await store.remove('outcomes/gone');
      expect(await store.get('outcomes/gone')).toBeUndefined();
      expect(await store.putOnce('outcomes/gone', bytesOf('second'))).toBe('put');
    });

    test('of many writers at once one wins, whole', async () => {
      const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(100_000));
      const said = await Promise.all(texts.map((text) => store.putOnce('outcomes/b', bytesOf(text))));
      expect(said.filter((one) => one === 'put')).toHaveLength(1);
      expect(Buffer.from((await store.get('outcomes/b'))!).toString()).toBe(texts[said.indexOf('put')]);
    });

    test('files go in and come out', async () => {
      const [from, to] = [join(folder, `${name}-from`), join(folder, `${name}-to`)];
      writeFileSync(from, 'x'.repeat(300_000));
      expect(await store.putFileOnce('files/c', from)).toBe('put');
      expect(await store.putFileOnce('files/c', from)).toBe('there');
      await store.fetchFile('files/c', to);
      expect(readFileSync(to, 'utf8')).toBe('x'.repeat(300_000));
      await expect(store.fetchFile('files/d', join(folder, `${name}-none`))).rejects.toThrow(/files\/d/);
    });

    test.each(['../out', 'a/../../b', '/etc/passwd', 'a', 'A/b', 'a/b/../c', 'a//b', 'a/.hidden'])(
      'refuses the key %s',
      async (key) => {
        await expect(Promise.resolve().then(() => store.get(key))).rejects.toMatchObject({ code: 'E_INTERNAL_KEY' });
      },
    );
  });
}

test('a service without space is an error that names it, and nothing is there', async () => {
  const store = await openStore('s3://bucket/full');
  state.full = true;
  try {
    await expect(store.putOnce('outcomes/a', bytesOf('x'))).rejects.toMatchObject({ code: 'E_REMOTE_STORE' });
  } finally {
    state.full = false;
  }
  expect(await store.get('outcomes/a')).toBeUndefined();
  await store.close();
});

test('a connection that breaks in the middle of an object is the store’s error, and a file that is there is the file’s', async () => {
  const store = await openStore('s3://bucket/broken');
  const path = join(folder, 'broken');
  await store.putOnce('files/a', bytesOf('x'.repeat(300_000)));
  state.broken = true;
  try {
    const named = { code: 'E_REMOTE_STORE', message: expect.stringContaining('s3://bucket/broken/files/a') };
    await expect(store.get('files/a')).rejects.toMatchObject(named);
    await expect(store.fetchFile('files/a', path)).rejects.toMatchObject(named);
  } finally {
    state.broken = false;
  }
  await expect(store.fetchFile('files/a', path)).rejects.toMatchObject({ code: 'E_RESOURCE_FILE', facts: { path } });
  await store.close();
});

test('a full disk is an error that says so; nothing half is left, and there is room later', async (context) => {
  const disk = mkdtempSync(join(folder, 'disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', disk], { stdio: 'ignore' });
  } catch {
    console.warn('skipped: a store on a full disk (only root may mount one)');
    context.skip();
  }
  try {
    const store = await openStore(join(disk, 'store'));
    const large = new Uint8Array(2 << 20);
    await expect(store.putOnce('outcomes/a', large)).rejects.toMatchObject({ code: 'E_RESOURCE_DISK_FULL' });
    expect(await store.get('outcomes/a')).toBeUndefined();
    expect(readdirSync(join(disk, 'store', 'outcomes'))).toEqual([]);
    expect(await store.putOnce('outcomes/a', bytesOf('small'))).toBe('put');
  } finally {
    execFileSync('umount', [disk]);
  }
});

test('a process that ends while it writes into a directory leaves nothing half there', () => {
  const place = join(folder, 'ended');
  const script = `
    import { readdirSync } from 'node:fs';
    import { openStore } from ${JSON.stringify(QUEUE)};
    const [place] = process.argv.slice(1);
    const store = await openStore(place);
    store.putOnce('outcomes/a', new Uint8Array(64 << 20)).then(() => process.exit(1));
    const look = () => {
      const half = readdirSync(place, { recursive: true }).some((name) => name.endsWith('.tmp'));
      half ? process.exit(130) : setImmediate(look);
    };
    look();`;
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script, place]);
  expect(status).toBe(130);
  expect(readdirSync(join(place, 'outcomes'))).toEqual([]);
});

test.each(['s3://', 's3://Bucket/x', 's3://bucket/../x'])('refuses %s', async (place) => {
  await expect(openStore(place)).rejects.toMatchObject({ code: 'E_OPTION_STORE' });
});
