// The options of cut that no other command has; options.ts has all the others.

import { CUT_UNITS } from '../model/index.js';
import { IMPORTANCES, REPAIRS } from '../operators/index.js';
import { CUT_ALLOCATIONS, CUT_DEFAULTS, CUT_WIDTHS } from '../runs/index.js';

export const CUT_OPTIONS = {
  parameters: {
    kind: 'number',
    flag: '--parameters',
    value: 'P',
    text: 'share of all parameters of the checkpoint, embeddings and head included, that is left; between 0 and 1',
  },
  units: {
    kind: 'text',
    flag: '--units',
    value: CUT_UNITS.join('|'),
    text: 'what is cut. mlp: channels of MLPs and of experts. heads: key-value heads with their query heads. all: both, against each other by the error per parameter',
    otherwise: CUT_DEFAULTS.units,
  },
  widths: {
    kind: 'text',
    flag: '--widths',
    value: CUT_WIDTHS.join('|'),
    text: 'equal: all blocks get one width, and the output is a plain checkpoint. free: --allocation decides, and the output needs a loader of layer_widths',
    otherwise: CUT_DEFAULTS.widths,
  },
  spare: {
    kind: 'text',
    flag: '--spare',
    value: 'blocks',
    text: 'with free widths, blocks that keep theirs, such as 0..3,28..29: the first and the last are often the touchiest',
    otherwise: 'none',
  },
  multiple: {
    kind: 'number',
    flag: '--multiple',
    value: 'n',
    text: 'widths of MLPs are multiples of n: 1 for .lw, 32 for Q8_0 and Q4_0, 256 for K-quants',
    otherwise: String(CUT_DEFAULTS.multiple),
  },
  importance: {
    kind: 'text',
    flag: '--importance',
    value: IMPORTANCES.join('|'),
    text: 'which slices go. obs: one after another, whichever costs least after the others were fitted. wanda-sp: sums of Wanda’s scores. flap: by how much inputs vary. taylor: weights times exact gradients (LLM-Pruner)',
    otherwise: CUT_DEFAULTS.importance,
  },
  cutAllocation: {
    kind: 'text',
    flag: '--allocation',
    value: CUT_ALLOCATIONS.join('|'),
    text: 'with --widths free, how much each block loses. atp, log: a line or SlimGPT’s curve over depth, searched. layerwise: the line and measured sensitivities of halves of blocks. flap: one threshold for all scores',
    otherwise: `${CUT_DEFAULTS.allocation} with free widths`,
  },
  cutRepair: {
    kind: 'text',
    flag: '--repair',
    value: REPAIRS.join('|'),
    text: 'what makes good for what is cut. least-squares: the kept weights (and the bias, where there is one) are fitted. bias: only the bias, to the mean. none: nothing',
    otherwise: CUT_DEFAULTS.repair,
  },
  cutTarget: {
    kind: 'text',
    flag: '--target',
    value: 'own|stream',
    text: 'what least squares fit to. own: the linear’s own output on its real input. stream: the dense model’s, and what earlier blocks lost is taken back',
    otherwise: 'stream with least squares',
  },
} as const;
