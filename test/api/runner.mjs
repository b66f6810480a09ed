// Runs the library's prune, or another `command`, in a process of its own, where a test can have it killed, stopped or denied the disk at a
// chosen moment. argv[2] is a JSON document: options (of prune), log (a file that says where it is, at any time) and,
// optionally, fault: `as` kill | stop | ENOSPC, at the nth file operation of a kind (`op`, any where absent) on a path
// that contains `path` and ends with `end`, or at the nth progress event whose text begins with `event`. Prints one line of JSON.

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { command = 'prune', options, log, fault } = JSON.parse(process.argv[2]);
const original = { open: fsp.open, rename: fsp.rename, rm: fsp.rm, mkdir: fsp.mkdir };
let stage = 'start';
let operations = 0;
let hits = 0;

function strike() {
  if (fault.as === 'ENOSPC') throw Object.assign(new Error('no space left (a test says so)'), { code: 'ENOSPC' });
  process.kill(process.pid, fault.as === 'stop' ? 'SIGSTOP' : 'SIGKILL');
}

/** Notes the operation; true where the fault strikes now, which `half` may precede. */
async function operation(op, path, half = async () => {}) {
  operations++;
  fs.writeFileSync(log, `${stage} | ${op} ${path}`);
  if (!fault || fault.event !== undefined) return;
  if (fault.op !== undefined && fault.op !== op) return;
  if (fault.path !== undefined && !path.includes(fault.path)) return;
  if (fault.end !== undefined && !path.endsWith(fault.end)) return;
  // A full disk stays full; anything else happens once.
  if (++hits < fault.nth || (hits > fault.nth && fault.as !== 'ENOSPC')) return;
  await half();
  strike();
}

fsp.open = async (path, flags, ...rest) => {
  if (!/w/.test(flags ?? 'r') || !String(path).includes(options.out)) return await original.open(path, flags, ...rest);
  await operation('open', path);
  const handle = await original.open(path, flags, ...rest);
  const { write, writeFile, sync } = handle;
  handle.write = async (bytes, offset, length, ...more) => {
    const all = length ?? bytes.length;
    await operation('write', path, () => write.call(handle, bytes, offset ?? 0, all >> 1, ...more));
    return await write.call(handle, bytes, offset, length, ...more);
  };
  handle.writeFile = async (data, ...more) => {
    await operation('write', path, () => writeFile.call(handle, data.slice(0, data.length >> 1)));
    return await writeFile.call(handle, data, ...more);
  };
  handle.sync = async () => {
    await operation('sync', path);
    return await sync.call(handle);
  };
  return handle;
};
fsp.rename = async (from, to) => {
  await operation('rename', `${from} -> ${to}`);
  await original.rename(from, to);
  await operation('renamed', `${from} -> ${to}`);
};
fsp.rm = async (path, ...rest) => {
  await operation('rm', path);
  return await original.rm(path, ...rest);
};
fsp.mkdir = async (path, ...rest) => {
  if (String(path).includes(options.out)) await operation('mkdir', path);
  return await original.mkdir(path, ...rest);
};
syncBuiltinESMExports();

function onProgress(event) {
  const text = event.kind === 'stage' ? event.stage : `${stage}: ${event.kind}`;
  if (event.kind === 'stage') stage = event.stage;
  fs.writeFileSync(log, `${stage} | ${event.kind} ${event.detail ?? ''}`);
  if (fault?.event !== undefined && text.startsWith(fault.event) && ++hits === fault.nth) strike();
}

const { [command]: run } = await import('../../dist/index.js');
try {
  await run({ ...options, onProgress });
  console.log(JSON.stringify({ code: 'done', message: '', operations }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code ?? 'none', message: error.message, operations }));
}
