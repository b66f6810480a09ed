// The two refusals of config.json: a value that changes the numbers and that we do not implement, and a malformed value.

import { CheckpointError, UnsupportedError } from '../base/portable.js';

/** @throws UnsupportedError E_UNSUPPORTED_CONFIG */
export function unsupported(key: string, got: unknown, supported: string): never {
  throw new UnsupportedError(
    'E_UNSUPPORTED_CONFIG',
    `config.json: ${key} is ${JSON.stringify(got)}, which changes the numbers and is not implemented; supported: ${supported}.`,
    { key, got, supported },
  );
}

/** @throws CheckpointError E_CHECKPOINT_CONFIG */
export function malformed(key: string, expected: string, got: unknown): never {
  throw new CheckpointError(
    'E_CHECKPOINT_CONFIG',
    `config.json: ${key}: expected ${expected}, got ${JSON.stringify(got)}.`,
    { key, expected, got },
  );
}
