// Only one process works in a folder at a time. The lock file names its holder: the host, the process, and when that
// process started, because systems reuse process ids. A killed holder cannot remove its lock, so a stale lock is taken
// over. On the same host the system says at once whether the holder lives; a lock from another host (a replaced
// container) is stale after some minutes without a heartbeat.

import { readFileSync } from 'node:fs';
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ResourceError } from './errors.js';
import { fileError } from './files.js';

type Holder = { readonly host: string; readonly pid: number; readonly began: string };

/** Milliseconds between heartbeats, and the silence after which a holder counts as gone. */
const HEARTBEAT = 10_000;
const SILENCE = 5 * 60_000;

/**
 * Takes the lock at `path` and returns the function that releases it.
 * @throws ResourceError E_RESOURCE_LOCKED where another process holds it, E_RESOURCE_…
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, began: beginningOf(process.pid) } satisfies Holder);
  while (!(await create(path, mine))) {
    const found = await read(path);
    if (found === undefined) continue; // released in the meantime
    if (await isHeld(path, found)) throw locked(path, found);
    await removeStale(path, found);
  }
  const heart = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), HEARTBEAT);
  heart.unref();
  return async () => {
    clearInterval(heart);
    if ((await read(path)) === mine) await rm(path, { force: true });
  };
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    try {
      await handle.writeFile(text);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw fileError(error, path);
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, path);
  }
}

async function isHeld(path: string, text: string): Promise<boolean> {
  const holder = parse(text);
  if (!holder) {
    // The holder is still writing the file, or died while writing it.
    await sleep(200);
    const again = await read(path);
    return again !== undefined && again !== text && isHeld(path, again);
  }
  if (holder.host !== hostname()) {
    const silence = Date.now() - (await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
    return silence < SILENCE;
  }
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return beginningOf(holder.pid) === holder.began;
}

function parse(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Partial<Holder> | null;
    const { host, pid, began } = value ?? {};
    const whole = typeof host === 'string' && Number.isInteger(pid) && pid! > 0 && typeof began === 'string';
    return whole ? { host, pid: pid!, began } : undefined;
  } catch {
    return undefined;
  }
}

/** Removes a stale lock. If another process took it over first, puts that process's lock back. */
async function removeStale(path: string, text: string): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw fileError(error, path);
  }
  const taken = await read(aside);
  if (taken !== undefined && taken !== text) {
    await rename(aside, path);
    throw locked(path, taken);
  }
  await rm(aside, { force: true });
}

/**
 * When a process started, where the system says so (Linux): the boot id and clock ticks. `gone` for a dead process.
 */
function beginningOf(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The name in parentheses can contain anything. After it come the state and, 19 fields later, the start time.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : `${boot} ${fields[19]}`;
  } catch {
    return '';
  }
}

function locked(path: string, text: string): ResourceError {
  const holder = parse(text);
  const who = holder ? `process ${holder.pid} on ${holder.host}` : 'another process';
  return new ResourceError(
    'E_RESOURCE_LOCKED',
    `${path}: ${who} is using this folder. Wait until it is done, or end it; if there is no such process, remove this file.`,
    { path, pid: holder?.pid, host: holder?.host },
  );
}
