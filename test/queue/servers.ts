// Real servers for the tests of the queue, each in a folder of its own on a free port of this machine: Redis (or Valkey), and
// PostgreSQL. Where one is not installed, its tests are skipped with a printed reason.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';

export type Server = {
  readonly url: string;
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>;
  /** Starts it again, at the same address. */
  start(): Promise<void>;
  stop(): Promise<void>;
};

const onPath = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(':'), ...debianPostgres()].map((dir) => join(dir, name)).find(existsSync);

/** Debian keeps PostgreSQL's programs out of PATH. */
function debianPostgres(): string[] {
  const root = '/usr/lib/postgresql';
  return existsSync(root) ? readdirSync(root).map((version) => join(root, version, 'bin')) : [];
}

export const REDIS = onPath('redis-server') ?? onPath('valkey-server');
const POSTGRES = onPath('postgres');

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });

/** Of the account that is no one's: PostgreSQL refuses to run as root. */
const NOBODY = 65_534;

async function keep(
  url: string,
  dir: string,
  begin: () => ChildProcess,
  isUp: () => Promise<boolean>,
): Promise<Server> {
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = begin();
    child.on('error', () => {});
    for (let tries = 0; !(await isUp()); tries++) {
      if (tries > 300 || child.exitCode !== null) throw new Error(`the server at ${url} did not start`);
      await sleep(100);
    }
  };
  const kill = async (): Promise<void> => {
    const gone = new Promise((done) => child?.once('exit', done));
    if (child && child.exitCode === null && child.kill('SIGKILL')) await gone;
  };
  await start();
  return {
    ...{ url, start, kill },
    stop: async () => {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Redis that keeps nothing on disk: what it knew is gone when it is killed. `password` protects it. */
export async function startRedis(password = ''): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'layerwise-redis-'));
  const port = await freePort();
  const secret = password === '' ? [] : ['--requirepass', password];
  const words = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    dir,
    ...secret,
  ];
  const url = `redis://${password === '' ? '' : `:${password}@`}127.0.0.1:${port}/0`;
  const isUp = async (): Promise<boolean> => {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => {});
    return await client
      .ping()
      .then(
        () => true,
        () => false,
      )
      .finally(() => client.disconnect());
  };
  return await keep(url, dir, () => spawn(REDIS!, words, { stdio: 'ignore' }), isUp);
}

async function startPostgres(): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'layerwise-postgres-'));
  const account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (account.uid !== undefined) chownSync(dir, account.uid, account.gid);
  const data = join(dir, 'data');
  const options = { stdio: 'ignore', cwd: dir, ...account } as const;
  const initdb = POSTGRES!.replace(/postgres$/, 'initdb');
  execFileSync(initdb, ['-D', data, '-U', 'layerwise', '-A', 'trust', '-N', '--locale=C', '-E', 'UTF8'], options);
  const port = await freePort();
  const words = ['-D', data, '-p', `${port}`, '-h', '127.0.0.1', '-k', dir, '-c', 'fsync=off'];
  const url = `postgres://layerwise@127.0.0.1:${port}/postgres`;
  const isUp = async (): Promise<boolean> => {
    const client = new pg.Client(url);
    return await client
      .connect()
      .then(
        () => true,
        () => false,
      )
      .finally(() => client.end().catch(() => {}));
  };
  return await keep(url, dir, () => spawn(POSTGRES!, words, options), isUp);
}

/** The servers that are here, each with the function that starts one; says which are not. */
export function serversHere(): readonly (readonly [name: string, start: () => Promise<Server>])[] {
  const all = [
    ['Redis', REDIS, () => startRedis()],
    ['PostgreSQL', POSTGRES, () => startPostgres()],
  ] as const;
  for (const [name, path] of all) if (!path) console.warn(`skipped: ${name} is not installed (apt-get install)`);
  return all.flatMap(([name, path, start]) => (path ? [[name, start] as const] : []));
}
