// How a byte-level tokenizer cuts its text, by the name in `tokenizer.ggml.pre`. The expressions are those of the models'
// own tokenizer.json; for `default`, which stands for no model, they are llama.cpp's.

import type { Json } from './facts.js';

export type Cut = {
  readonly preTokenizer: Json;
  /** Composes characters first (NFC). */
  readonly composes: boolean;
  /** A piece that is a token as a whole needs no merges. */
  readonly takesWholeWords: boolean;
  readonly addsBos: boolean;
};

const byteLevel = (cuts: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: cuts,
});
const split = (regex: string): Json => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});
const sequence = (...all: readonly Json[]): Json => ({ type: 'Sequence', pretokenizers: all });

/** The expression of GPT-4, with digits in runs as given. */
const words = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const GPT2: Cut = { preTokenizer: byteLevel(true), composes: false, takesWholeWords: false, addsBos: false };
const LLAMA3: Cut = {
  preTokenizer: sequence(split(words('\\p{N}{1,3}')), byteLevel(false)),
  composes: false,
  takesWholeWords: true,
  addsBos: true,
};
const QWEN2: Cut = {
  ...GPT2,
  preTokenizer: sequence(split(words('\\p{N}')), byteLevel(false)),
  composes: true,
};
const DIGITS: Cut = {
  ...GPT2,
  preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
};
const DEFAULT: Cut = {
  ...GPT2,
  preTokenizer: sequence(
    split('[\\p{P}\\$\\+<=>\\^~\\|]+'),
    split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"),
    split('\\p{N}+'),
    split('[0-9][0-9][0-9]'),
    byteLevel(false),
  ),
};

const CUTS: ReadonlyMap<string, Cut> = new Map([
  ['default', DEFAULT],
  ['gpt-2', GPT2],
  ['llama-bpe', LLAMA3],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['qwen2', QWEN2],
  ['deepseek-r1-qwen', QWEN2],
  ['smollm', DIGITS],
]);

export const KNOWN_CUTS: readonly string[] = [...CUTS.keys()];

export const readCut = (name: string): Cut | undefined => CUTS.get(name);
