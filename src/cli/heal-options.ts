// The options of heal alone; options.ts has all the others.

import { HEAL_DEFAULTS, LOSSES, TRAINED } from '../api/index.js';

export const HEAL_OPTIONS = {
  healDense: {
    kind: 'text',
    flag: '--dense',
    value: 'checkpoint',
    text: 'the original that the checkpoint was made from: a directory, a .gguf file, or a name on the Hub',
  },
  healText: {
    kind: 'text',
    flag: '--text',
    value: 'file',
    text: 'text to train on: .txt, .jsonl, .jsonl.gz or .parquet, or the training part of a data set by name',
  },
  healValidation: {
    kind: 'text',
    flag: '--validation',
    value: 'file',
    text: 'text that decides when training ends and which state is kept; other text than --text',
  },
  train: {
    kind: 'text',
    flag: '--train',
    value: `${TRAINED.join('|')}|"blocks 20..23"`,
    text: 'what is trained. kept: all weights of the blocks but the zeros. lora: low-rank additions, merged at the end. norms: norms and biases. new: blocks that layerwise grow added. blocks: as kept, in some blocks',
    otherwise: HEAL_DEFAULTS.train,
  },
  loss: {
    kind: 'text',
    flag: '--loss',
    value: LOSSES.join('|'),
    text: 'what training lowers. stream: the error of each half block against the dense stream. kl: the divergence from the dense model’s predictions. nll: the loss on the text itself',
    otherwise: 'stream, then kl; with --train new, kl',
  },
  healTokens: {
    kind: 'number',
    flag: '--tokens',
    value: 'n',
    text: 'tokens that each stage reads; the text is read again where it is shorter',
    otherwise: String(HEAL_DEFAULTS.tokens),
  },
  rate: {
    kind: 'number',
    flag: '--rate',
    value: 'η',
    text: 'the highest learning rate of AdamW',
    otherwise: `${HEAL_DEFAULTS.stream} against the stream, ${HEAL_DEFAULTS.whole} for the whole model`,
  },
  batch: {
    kind: 'number',
    flag: '--batch',
    value: 'tokens',
    text: 'tokens of a training step, about',
    otherwise: String(HEAL_DEFAULTS.batch),
  },
  rank: {
    kind: 'number',
    flag: '--rank',
    value: 'r',
    text: 'the rank of LoRA',
    otherwise: String(HEAL_DEFAULTS.rank),
  },
  adapter: {
    kind: 'flag',
    flag: '--adapter',
    text: 'with --train lora: write an adapter in PEFT’s form, to be loaded beside the checkpoint, instead of a checkpoint',
  },
} as const;
