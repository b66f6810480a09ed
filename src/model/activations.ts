// Activations by the names that config.json has for them.

import type { Activation } from './families/family.js';
import { unsupported } from './refuse.js';

const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu', 'gelu'],
  ['gelu_new', 'gelu_tanh'],
  ['gelu_fast', 'gelu_tanh'],
  ['gelu_pytorch_tanh', 'gelu_tanh'],
  ['quick_gelu', 'quick_gelu'],
  ['relu', 'relu'],
]);

/** @throws UnsupportedError E_UNSUPPORTED_CONFIG, with the key that has the name */
export function activationNamed(key: string, name: unknown): Activation {
  return ACTIVATIONS.get(String(name)) ?? unsupported(key, name, [...ACTIVATIONS.keys()].join(', '));
}
