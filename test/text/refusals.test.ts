import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../src/base/index.js';
import { codecOf, createCodec } from '../../src/text/portable.js';

const LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const vocab = { a: 0, b: 1, ab: 2 };
const base = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: { type: 'BPE', vocab, merges: ['a b'] },
};
const token = (id: number, content: string, more: object = {}) => ({ id, content, special: true, ...more });
const make = (tokenizer: object, config: object = {}) =>
  codecOf({ ...base, ...tokenizer }, config, { path: 'tokenizer.json', configPath: 'tokenizer_config.json' });

function refusal(work: () => unknown): CheckpointError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return error as CheckpointError;
  }
  throw new Error('nothing was refused');
}

const split = (Regex: string) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
});

describe('what is not implemented or malformed is refused with its field', () => {
  test.each<[field: string, tokenizer: object]>([
    ['model.type', { model: { type: 'Magic', vocab } }],
    ['model.dropout', { model: { ...base.model, dropout: 0.1 } }],
    ['model.merges[0]', { model: { ...base.model, merges: ['a c'] } }],
    ['model.merges[0]', { model: { ...base.model, merges: ['a b c'] } }],
    ['model.merges', { model: { type: 'BPE', vocab } }],
    ['model.vocab["a"]', { model: { ...base.model, vocab: { a: -1 } } }],
    ['model.vocab[1]', { model: { type: 'Unigram', unk_id: 0, vocab: [['a', 0], ['b']] } }],
    ['model.unk_id', { model: { type: 'Unigram', unk_id: 3, vocab: [['a', 0]] } }],
    ['model.alpha', { model: { type: 'Unigram', unk_id: 0, alpha: 0.1, vocab: [['a', 0]] } }],
    ['normalizer.type', { normalizer: { type: 'Shout' } }],
    [
      'normalizer.normalizers[1].prepend',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Prepend' }] } },
    ],
    ['normalizer.precompiled_charsmap', { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } }],
    ['pre_tokenizer.type', { pre_tokenizer: { type: 'UnicodeScripts' } }],
    ['pre_tokenizer.behavior', { pre_tokenizer: { type: 'Punctuation', behavior: 'Sideways' } }],
    [
      'pre_tokenizer.pretokenizers[0].pattern',
      {
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [{ type: 'Split', pattern: 'x', behavior: 'Isolated', invert: false }],
        },
      },
    ],
    ['pre_tokenizer.pattern.Regex', split('(?i)a')],
    ['pre_tokenizer.pattern.Regex', split('(?m:a.b)')],
    ['pre_tokenizer.pattern.Regex', split('\\R')],
    ['pre_tokenizer.pattern.Regex', split('(a')],
    [
      'pre_tokenizer.prepend_scheme',
      { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', add_prefix_space: false } },
    ],
    [
      'pre_tokenizer',
      {
        normalizer: { type: 'Strip', strip_left: true, strip_right: false },
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first' },
      },
    ],
    ['post_processor.type', { post_processor: { type: 'Frame' } }],
    [
      'post_processor.single[0].SpecialToken.id',
      { post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<s>' } }] } },
    ],
    ['post_processor.single', { post_processor: { type: 'TemplateProcessing', single: [] } }],
    [
      'post_processor.processors',
      {
        post_processor: {
          type: 'Sequence',
          processors: [1, 2].map((id) => ({ type: 'BertProcessing', cls: ['c', id], sep: ['s', id] })),
        },
      },
    ],
    ['decoder.type', { decoder: { type: 'CTC' } }],
    [
      'decoder.decoders[0].start',
      { decoder: { type: 'Sequence', decoders: [{ type: 'Strip', content: ' ', start: -1, stop: 0 }] } },
    ],
    ['added_tokens[0].id', { added_tokens: [token(7, '<s>')] }],
    ['added_tokens[0].lstrip', { added_tokens: [token(3, '<s>', { lstrip: 'yes' })] }],
  ])('%s', (field, tokenizer) => {
    const error = refusal(() => make(tokenizer));
    expect(error.code).toBe('E_TEXT_TOKENIZER');
    expect(error.facts).toMatchObject({ field, file: 'tokenizer.json' });
    expect(error.message).toContain(field);
  });

  test('a character that the vocabulary has nothing for, where the file has no unknown token', () => {
    const unigram = make({ model: { type: 'Unigram', unk_id: null, vocab: [['a', 0]] } });
    expect([...unigram.encode('aa')]).toEqual([0, 0]);
    expect(refusal(() => unigram.encode('aba')).facts).toMatchObject({ field: 'model.unk_id' });
    const bpe = make({ model: { ...base.model, unk_token: '<unk>' } });
    expect(refusal(() => bpe.encode('c')).facts).toMatchObject({ field: 'model.unk_token' });
  });

  test('a Git LFS pointer is called one', () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n';
    for (const [tokenizer, config] of [
      [pointer, '{}'],
      [JSON.stringify(base), pointer],
    ] as const) {
      expect(refusal(() => createCodec(tokenizer, config, 'here')).message).toMatch(
        /here\/.*Git LFS pointer.*git lfs pull/,
      );
    }
  });
});

describe('tokenizer_config.json beside tokenizer.json', () => {
  test('an id that is not the one a token gets is an error that names both', () => {
    const error = refusal(() => make({}, { added_tokens_decoder: { 9: token(9, '<|end|>') } }));
    expect(error.facts).toMatchObject({ file: 'tokenizer_config.json', field: 'added_tokens_decoder.9' });
    expect(error.message).toMatch(/token 3.*got 9/);
  });

  test('tokens described otherwise, and BOS or EOS asked for otherwise, are notes', () => {
    const added_tokens = [token(3, '<s>'), token(4, '</s>')];
    const names = { bos_token: '<s>', eos_token: '</s>' };
    expect(make({ added_tokens }, names).notes).toEqual([]);
    expect(make({ added_tokens }, { added_tokens_decoder: { 3: token(3, '<s>') } }).notes).toEqual([]);
    expect(make({ added_tokens }, { added_tokens_decoder: { 3: token(3, '<s>', { rstrip: true }) } }).notes).toEqual([
      expect.stringMatching(/"<s>".*rstrip: true/),
    ]);
    const asks = make({ added_tokens }, { ...names, add_bos_token: true, add_eos_token: false });
    expect(asks.notes).toEqual([expect.stringMatching(/asks for bos_token.*tokenizer\.json is followed/)]);
    expect([...asks.encode('ab')]).toEqual([2]);
    const post_processor = { type: 'BertProcessing', cls: ['<s>', 3], sep: ['</s>', 4] };
    const does = make({ added_tokens, post_processor }, { ...names, add_bos_token: true, add_eos_token: false });
    expect(does.notes).toEqual([expect.stringMatching(/asks for no eos_token.*adds a eos_token/)]);
  });

  test('a space before the text is tokenizer.json’s, and a note', () => {
    const codec = make({ pre_tokenizer: LEVEL }, { add_prefix_space: true });
    expect(codec.notes).toEqual([
      expect.stringMatching(/add_prefix_space is true in tokenizer_config\.json and false/),
    ]);
    expect(make({ pre_tokenizer: LEVEL }, { add_prefix_space: false }).notes).toEqual([]);
  });

  test('the tokens it adds have ids, bytes and texts', () => {
    const codec = make(
      { decoder: LEVEL },
      { eos_token: '<|end|>', added_tokens_decoder: { 3: token(3, '<|start|>') } },
    );
    expect([...codec.encode('<|start|>ab<|end|>')]).toEqual([3, 2, 4]);
    expect([codec.tokenId('<|start|>'), codec.tokenId('<|end|>'), codec.vocabularySize]).toEqual([3, 4, 5]);
    expect(codec.decode([3, 2, 4])).toBe('ab');
    expect(new TextDecoder().decode(codec.tokenBytes(4))).toBe('<|end|>');
  });
});
