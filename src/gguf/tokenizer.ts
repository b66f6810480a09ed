// The tokenizer of a file as tokenizer.json and tokenizer_config.json. Two kinds: byte-level BPE (`gpt2`), whose merges are in
// the file, cut by the expressions that `tokenizer.ggml.pre` names; and SentencePiece's BPE (`llama`), which merges the
// pieces of the highest score. The latter's merges are made of the vocabulary: every way to cut a piece into two, as
// transformers does when it converts such a model.

import type { Facts, Json } from './facts.js';
import { KNOWN_CUTS, readCut } from './pre-tokenizers.js';
import { refuseFile, show, unsupportedGguf } from './refuse.js';

/** Types of tokens in `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;
const LAST_TYPE = 6;

const ORIGINAL = 'start from the safetensors checkpoint that it was made from';
const PREFIX = 'tokenizer.ggml.';

/** Keys that are read, and those that change no tokens. */
const KEYS: ReadonlySet<string> = new Set([
  ...['model', 'pre', 'tokens', 'token_type', 'scores', 'merges', 'add_bos_token', 'add_eos_token', 'add_space_prefix'],
  ...['bos', 'eos', 'unknown', 'padding', 'eot', 'eom', 'seperator', 'separator', 'mask', 'cls'].map(idKey),
  ...['prefix', 'suffix', 'middle', 'fim_pre', 'fim_suf', 'fim_mid', 'fim_pad', 'fim_rep', 'fim_sep'].map(idKey),
  ...['token_type_count', 'eos_token_ids'],
]);
/** Keys whose one value means that they change nothing. */
const NEUTRAL: ReadonlyMap<string, boolean> = new Map([
  ['remove_extra_whitespaces', false],
  ['add_sep_token', false],
]);

function idKey(name: string): string {
  return `${name}_token_id`;
}

export type TwinTokenizer = {
  /** The text of tokenizer.json. */
  readonly tokenizer: string;
  readonly config: Json;
  readonly generation: Json;
};

type Vocabulary = {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly ids: ReadonlyMap<string, number>;
};

type Special = {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly padding: number | undefined;
};

/**
 * `rows` is the number of rows of the embedding.
 * @throws CheckpointError E_CHECKPOINT_GGUF, UnsupportedError E_UNSUPPORTED_GGUF
 */
export function tokenizerOf(facts: Facts, keys: Iterable<string>, rows: number, positions: number): TwinTokenizer {
  refuseUnknownKeys(facts, keys);
  const model = facts.text(`${PREFIX}model`);
  if (model !== 'gpt2' && model !== 'llama') {
    throw unsupportedGguf(facts.path, `${PREFIX}model ${show(model ?? null)}`, 'gpt2 or llama', ORIGINAL);
  }
  const vocabulary = readVocabulary(facts, rows);
  const special = readSpecial(facts, vocabulary, model);
  const { parts, addsBos } =
    model === 'gpt2' ? byteLevel(facts, vocabulary) : sentencePiece(facts, vocabulary, special);
  const before = facts.flag(`${PREFIX}add_bos_token`, addsBos);
  const after = facts.flag(`${PREFIX}add_eos_token`, false);
  const wordOf = (id: number | undefined): string | undefined => (id === undefined ? undefined : vocabulary.tokens[id]);
  const named = { bos: wordOf(special.bos), eos: wordOf(special.eos) };
  if (before && named.bos === undefined) throw refuseFile(facts.path, `${PREFIX}bos_token_id`, 'none');
  if (after && named.eos === undefined) throw refuseFile(facts.path, `${PREFIX}eos_token_id`, 'none');
  const template = facts.text('tokenizer.chat_template');
  return {
    tokenizer: formatTokenizer(vocabulary, parts, {
      before: before ? special.bos : undefined,
      after: after ? special.eos : undefined,
    }),
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...defined({
        bos_token: named.bos,
        eos_token: named.eos,
        unk_token: wordOf(special.unknown),
        pad_token: wordOf(special.padding),
      }),
      add_bos_token: before,
      add_eos_token: after,
      clean_up_tokenization_spaces: false,
      model_max_length: positions,
      ...defined({ chat_template: template }),
    },
    generation: defined({ bos_token_id: special.bos, eos_token_id: endsOf(facts, vocabulary, special.eos) }),
  };
}

const defined = (object: Readonly<Record<string, unknown>>): Json =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

function refuseUnknownKeys(facts: Facts, keys: Iterable<string>): void {
  for (const whole of keys) {
    if (!whole.startsWith(PREFIX)) continue;
    const key = whole.slice(PREFIX.length);
    if (KEYS.has(key) || (NEUTRAL.has(key) && NEUTRAL.get(key) === facts.raw(whole))) continue;
    const value = facts.raw(whole);
    const shown = ArrayBuffer.isView(value) || Array.isArray(value) ? 'a list' : show(value);
    throw unsupportedGguf(facts.path, `${whole} = ${shown} (it may change the tokens)`, `no key ${whole}`, ORIGINAL);
  }
}

function readVocabulary(facts: Facts, rows: number): Vocabulary {
  const tokens = facts.strings(`${PREFIX}tokens`);
  const types = facts.numbers(`${PREFIX}token_type`);
  if (tokens.length === 0 || tokens.length > rows) {
    throw refuseFile(facts.path, `1 to ${rows} tokens, the rows of the embedding`, `${tokens.length}`);
  }
  if (types?.length !== tokens.length || !types.every((type) => type >= NORMAL && type <= LAST_TYPE)) {
    const got = types ? `${types.length} numbers` : 'none';
    throw refuseFile(facts.path, `${PREFIX}token_type with a type of 1 to 6 for each of ${tokens.length} tokens`, got);
  }
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (ids.has(token)) {
      throw refuseFile(facts.path, 'tokens that differ', `${show(token)} as ${ids.get(token)} and as ${id}`);
    }
    ids.set(token, id);
  });
  return { tokens, types, ids };
}

/** Where SentencePiece's special tokens are unless the file says otherwise. */
const USUAL = { unknown: 0, bos: 1, eos: 2 } as const;

function readSpecial(facts: Facts, { tokens }: Vocabulary, model: 'gpt2' | 'llama'): Special {
  const read = (name: string, usual?: number): number | undefined => {
    const key = `${PREFIX}${idKey(name)}`;
    // Some converters write the largest number of its type for "none".
    const none = facts.raw(key) === 0xffffffff || facts.raw(key) === -1;
    const id = facts.has(key) && !none ? facts.whole(key, 0) : model === 'llama' ? usual : undefined;
    if (id !== undefined && id >= tokens.length) {
      throw refuseFile(facts.path, `${key} below ${tokens.length}`, `${id}`);
    }
    return id;
  };
  return {
    bos: read('bos', USUAL.bos),
    eos: read('eos', USUAL.eos),
    unknown: read('unknown', USUAL.unknown),
    padding: read('padding'),
  };
}

/** The tokens that end a text: the end of a turn or a message too, where the file names them. */
function endsOf(facts: Facts, { tokens }: Vocabulary, eos: number | undefined): number | readonly number[] | undefined {
  const ends = new Set(eos === undefined ? [] : [eos]);
  for (const name of ['eot', 'eom']) {
    const id = facts.raw(`${PREFIX}${idKey(name)}`);
    if (typeof id === 'number' && id >= 0 && id < tokens.length) ends.add(id);
  }
  return ends.size > 1 ? [...ends] : [...ends][0];
}

/** What of tokenizer.json depends on the kind. `merges` are pairs of words. */
type Parts = {
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly decoder: Json;
  readonly unknown: string | null;
  readonly byteFallback: boolean;
  readonly ignoreMerges: boolean;
  readonly merges: readonly (readonly [string, string])[];
};
type Kind = { readonly parts: Parts; readonly addsBos: boolean };

function byteLevel(facts: Facts, { ids }: Vocabulary): Kind {
  const pre = facts.text(`${PREFIX}pre`) ?? 'default';
  const cut = readCut(pre);
  if (cut === undefined) {
    throw unsupportedGguf(facts.path, `${PREFIX}pre ${show(pre)}`, KNOWN_CUTS.join(', '), ORIGINAL);
  }
  if (facts.flag(`${PREFIX}add_space_prefix`, false)) {
    throw unsupportedGguf(facts.path, `${PREFIX}add_space_prefix = true`, 'false for byte-level BPE', ORIGINAL);
  }
  const merges = facts.strings(`${PREFIX}merges`).map((merge, i): readonly [string, string] => {
    const [left, right, ...rest] = merge.split(' ');
    const whole = left && right && rest.length === 0;
    if (whole && ids.has(left) && ids.has(right) && ids.has(left + right)) return [left, right];
    throw refuseFile(facts.path, `merge ${i} to be two tokens that make a third`, show(merge));
  });
  const byteLevelParts = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  return {
    parts: {
      normalizer: cut.composes ? { type: 'NFC' } : null,
      pre_tokenizer: cut.preTokenizer,
      decoder: { ...byteLevelParts, use_regex: true },
      unknown: null,
      byteFallback: false,
      ignoreMerges: cut.takesWholeWords,
      merges,
    },
    addsBos: cut.addsBos,
  };
}

const SPACE = '\u2581';

function sentencePiece(facts: Facts, vocabulary: Vocabulary, special: Special): Kind {
  const pre = facts.text(`${PREFIX}pre`) ?? 'default';
  if (pre !== 'default') {
    throw unsupportedGguf(facts.path, `${PREFIX}pre ${show(pre)}`, 'default for SentencePiece', ORIGINAL);
  }
  const scores = facts.numbers(`${PREFIX}scores`);
  if (scores?.length !== vocabulary.tokens.length || !scores.every(Number.isFinite)) {
    throw refuseFile(facts.path, `a score for each of ${vocabulary.tokens.length} tokens`, 'others');
  }
  const long = vocabulary.tokens.findIndex((one, id) => one.length > LONGEST_PIECE && vocabulary.types[id] === NORMAL);
  if (long >= 0) {
    const got = `token ${long} of ${vocabulary.tokens[long]!.length}`;
    throw unsupportedGguf(facts.path, got, `pieces of at most ${LONGEST_PIECE} characters`, ORIGINAL);
  }
  const prefixes = facts.flag(`${PREFIX}add_space_prefix`, true);
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  return {
    parts: {
      normalizer: prefixes
        ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, replace] }
        : replace,
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(prefixes ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      unknown: vocabulary.tokens[special.unknown!]!,
      byteFallback: vocabulary.types.includes(BYTE),
      ignoreMerges: false,
      merges: mergesOf(vocabulary, scores),
    },
    addsBos: true,
  };
}

/** The most code units of a piece that is cut; SentencePiece makes pieces of at most 16 unless it is told otherwise. */
const LONGEST_PIECE = 256;

/** Every way to cut a piece into two pieces, those of the highest score first. */
function mergesOf(
  { tokens, types, ids }: Vocabulary,
  scores: readonly number[],
): readonly (readonly [string, string])[] {
  type Merge = { readonly left: number; readonly right: number; readonly made: number; readonly score: number };
  const merges: Merge[] = [];
  const isPiece = (id: number | undefined): id is number =>
    id !== undefined && (types[id] === NORMAL || types[id] === USER_DEFINED);
  tokens.forEach((piece, made) => {
    if (!isPiece(made) || piece.length > LONGEST_PIECE) return; // a long one that the user defined is found as a whole
    const score = types[made] === NORMAL ? scores[made]! : 0;
    for (let cut = 1; cut < piece.length; cut++) {
      const [left, right] = [ids.get(piece.slice(0, cut)), ids.get(piece.slice(cut))];
      if (isPiece(left) && isPiece(right)) merges.push({ left, right, made, score });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.made - b.made || a.left - b.left || a.right - b.right);
  return merges.map(({ left, right }) => [tokens[left]!, tokens[right]!]);
}

function formatTokenizer(
  { tokens, types }: Vocabulary,
  parts: Parts,
  ends: { readonly before: number | undefined; readonly after: number | undefined },
): string {
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN;
    if (!special && types[id] !== USER_DEFINED) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
  // By hand, because an object would move words such as "12" to the front and lose "__proto__".
  const words = tokens.map((token, id) => `${JSON.stringify(token)}:${id}`).join(',');
  const model = {
    type: 'BPE',
    dropout: null,
    unk_token: parts.unknown,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: parts.unknown !== null,
    byte_fallback: parts.byteFallback,
    ignore_merges: parts.ignoreMerges,
  };
  const head = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: parts.normalizer,
    pre_tokenizer: parts.pre_tokenizer,
    post_processor: templateOf(tokens, ends),
    decoder: parts.decoder,
  };
  return `${JSON.stringify(head).slice(0, -1)},"model":${JSON.stringify(model).slice(0, -1)},"vocab":{${words}},"merges":${JSON.stringify(parts.merges)}}}\n`;
}

function templateOf(
  tokens: readonly string[],
  { before, after }: { readonly before: number | undefined; readonly after: number | undefined },
): Json | null {
  const ids = [before, after].filter((id) => id !== undefined);
  if (ids.length === 0) return null;
  const around = (text: 'A' | 'B', type: number): readonly Json[] => {
    const token = (id: number): Json => ({ SpecialToken: { id: tokens[id], type_id: type } });
    return [
      ...(before === undefined ? [] : [token(before)]),
      { Sequence: { id: text, type_id: type } },
      ...(after === undefined ? [] : [token(after)]),
    ];
  };
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      ids.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}
