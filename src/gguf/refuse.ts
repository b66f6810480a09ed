// The refusals of this room: a broken file, and a sound one that asks for what we do not implement.

import { CheckpointError, UnsupportedError } from '../base/index.js';

const AGAIN = 'download or convert it again';

/** A value from a file as it is shown, cut short. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? `${value}` : (JSON.stringify(value) ?? String(value));
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

export function refuseFile(file: string, expected: string, got: string): CheckpointError {
  const message = `${file}: expected ${expected}, got ${got}; ${AGAIN}.`;
  return new CheckpointError('E_CHECKPOINT_GGUF', message, { file, expected, got });
}

export function refuseTensor(file: string, tensor: string, expected: string, got: string): CheckpointError {
  const message = `${file}: tensor ${show(tensor)}: expected ${expected}, got ${got}; ${AGAIN}.`;
  return new CheckpointError('E_CHECKPOINT_GGUF', message, { file, tensor, expected, got });
}

/** `expected` names what we read; `next` says what the user can do. */
export function unsupportedGguf(file: string, got: string, expected: string, next: string): UnsupportedError {
  const message = `${file}: expected ${expected}, got ${got}, which is not implemented; ${next}.`;
  return new UnsupportedError('E_UNSUPPORTED_GGUF', message, { file, expected, got, next });
}
