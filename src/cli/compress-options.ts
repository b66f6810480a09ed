// The options of compress alone; options.ts has all the others.

import { ALLOWED } from '../compress/index.js';

export const COMPRESS_OPTIONS = {
  averageBits: {
    kind: 'number',
    flag: '--bits',
    value: 'n',
    text: 'bits per weight of the blocks’ linears on average, with their scales, such as 3.5',
  },
  size: {
    kind: 'text',
    flag: '--size',
    value: 'size',
    text: 'bytes of the packed file, such as 80MB (a million bytes each) or 1.5GB',
  },
  tokensPerSecond: {
    kind: 'number',
    flag: '--tokens-per-second',
    value: 'n',
    text: 'speed of one sequence of the packed file on this many --threads, estimated before and not measured',
  },
  allow: {
    kind: 'text',
    flag: '--allow',
    value: 'name,…',
    text: `what may be done to weights: ${ALLOWED.join(', ')} (8 of 16 zeros, together with bits)`,
    otherwise: 'bits',
  },
  sensitivities: {
    kind: 'text',
    flag: '--sensitivities',
    value: 'file',
    text: 'the sensitivities.json of an earlier run of the same checkpoint, instead of measuring',
  },
  dryRun: { kind: 'flag', flag: '--dry-run', text: 'check everything, say what would be done and how long, and stop' },
} as const;
