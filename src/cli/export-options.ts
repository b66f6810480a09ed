// The options of `layerwise export` alone, in a file of their own because options.ts is long.

import { EXPORT_FORMATS } from '../api/index.js';
import { GGUF_TYPES } from '../formats/index.js';

export const EXPORT_OPTIONS = {
  format: { kind: 'text', flag: '--to', value: EXPORT_FORMATS.join('|'), text: 'what to write' },
  type: {
    kind: 'text',
    flag: '--type',
    value: GGUF_TYPES.join('|'),
    text: 'gguf: how the linears are stored',
    otherwise: 'q8_0',
  },
  exportBits: {
    kind: 'number',
    flag: '--bits',
    value: '4|8',
    text: 'compressed-tensors: round a dense checkpoint to this many bits; one with layerwise.scales has its own',
  },
  exportGroup: {
    kind: 'number',
    flag: '--group',
    value: 'columns',
    text: 'columns that share a scale, with --bits',
    otherwise: '128',
  },
  customCode: {
    kind: 'flag',
    flag: '--custom-code',
    text: 'hf, blocks of unequal width: with code that transformers loads (trust_remote_code=True)',
  },
  padded: {
    kind: 'flag',
    flag: '--padded',
    text: 'hf, blocks of unequal width: every block as wide as the widest, with zeros; loads everywhere',
  },
} as const;
