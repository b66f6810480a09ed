// The peak of resident memory of a process that is alive, from Linux's /proc.

import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Bytes; 0 where the process has ended or the system does not say. */
export function peakOf({ pid }: ChildProcess): number {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
