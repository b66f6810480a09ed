// A small tokenizer of the kind LLaMA-2 has: spaces as ▁, bytes as <0x0A>, a BOS token put before every text.

import { type Codec, createTokenizer } from '../../src/text/index.js';

export function makeSentencePiece(): Codec {
  const words = ['<unk>', '<s>', '</s>'];
  for (let byte = 0; byte < 256; byte++) words.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  words.push('▁', 'a', 'b', 'c', '▁a', '▁b', 'ab', 'ba', '▁ab');
  const special = (id: number, content: string) => ({
    ...{ id, content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  });
  const tokenizer = {
    version: '1.0',
    added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges: ['▁ a', '▁ b', 'a b', 'b a', '▁ ab'],
    },
  };
  const config = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' };
  return createTokenizer(JSON.stringify(tokenizer), JSON.stringify(config), 'test');
}
