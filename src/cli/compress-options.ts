// The options of compress alone; options.ts has all the others.

import { ALLOWED, TREATMENTS } from '../compress/index.js';

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
  zeros: {
    kind: 'number',
    flag: '--zeros',
    value: 's',
    text: 'share of the linears’ weights that becomes zero, such as 0.5: alone, each linear its own share; beside another budget, at least so many',
  },
  allow: {
    kind: 'text',
    flag: '--allow',
    value: 'name,…',
    text: `what may be done: ${ALLOWED.join(', ')}. zeros: 8 or 10 of 16, with 4 bits. drop: leave out whole blocks`,
    otherwise: 'bits, and zeros with --zeros',
  },
  sensitivities: {
    kind: 'text',
    flag: '--sensitivities',
    value: 'file',
    text: 'the table of sensitivities that profile --treatments or an earlier run of the same checkpoint wrote, instead of measuring',
  },
  treatments: {
    kind: 'text',
    flag: '--treatments',
    value: 'name,…',
    text: `measure the table of sensitivities for compress too: ${TREATMENTS.join(', ')}, as in its --allow, or gguf`,
    otherwise: 'none',
  },
  errors: {
    kind: 'number',
    flag: '--errors',
    value: 'S',
    text: 'show how errors travel at this sparsity, pruned uniformly with SparseGPT: of each block alone, carried on, and corrected by the dense stream',
    otherwise: 'none',
  },
  dryRun: { kind: 'flag', flag: '--dry-run', text: 'check everything, say what would be done and how long, and stop' },
} as const;
