// Widths that differ from block to block: [heads, key-value heads, width of the MLP], shared heads and odd widths among them.

import { FAMILY_CONFIGS, makeFamily } from './families.js';

/** For three blocks with heads of 8. */
export const UNEVEN = [
  [4, 2, 48],
  [2, 2, 35],
  [3, 1, 17],
] as const;

/** Of families whose heads each have their own keys. */
const ALONE = [
  [4, 4, 48],
  [2, 2, 35],
  [3, 3, 17],
] as const;

/** The config of a family with such blocks; for `makeFamily` with `blocks: 3`. */
export function unevenConfig(family: string): Readonly<Record<string, unknown>> {
  const config = FAMILY_CONFIGS[family]!;
  const shares = 'num_key_value_heads' in { ...config, ...((config.text_config as object) ?? {}) };
  const widths = { head_dim: 8, layer_widths: shares ? UNEVEN : ALONE };
  return config.text_config
    ? { ...config, text_config: { ...config.text_config, ...widths } }
    : { ...config, ...widths };
}

/** A tiny LLaMA with such blocks. */
export const makeUneven = (dir: string): Promise<string> =>
  makeFamily(dir, 'llama', { config: unevenConfig('llama'), blocks: 3 });
