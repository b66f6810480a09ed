"""Writes test/golden/tokenizers/: tokenizers laid out like those of real models, with tiny vocabularies, and the tokens and
texts that the Rust library (huggingface/tokenizers) makes with them.

  pip install tokenizers==0.23.3 transformers==5.24.0 sentencepiece protobuf && python scripts/golden/tokenizer.py

texts.json:  the texts, odd on purpose.
<name>.json: tokenizer (the file), config (tokenizer_config.json, where the tokens are those of transformers), and for each text
             [ids with special tokens, ids without, text with special tokens, text without]; decoded: [ids, text with, text without]
             of tokens drawn at random. Or: tokenizers that differ in one part, with ids alone.
"""

import json
import pathlib
import random
import tempfile

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parents[2] / "test/golden/tokenizers"

CORPUS = """The quick brown fox jumps over the lazy dog. It's what they're saying, isn't it? I'll do 123 things in 2024.
Größe und Straße, déjà vu, naïve café; привет мир, 東京は日本の首都です。 你好,世界! def main(args):\n    return args[0] + 1\n
The thing that the others were saying: we've been there, and the weather was 25 degrees."""

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  a  b   c    d", "Hello, World! It's 3.14159 o'clock; they'RE here.",
    "The quick brown fox\njumps over the lazy dög.\n\nIt isn't\tso.\r\nEnd\r\r\n \n  \n", "\n\n\n", "\t\ttabs\t and\u00a0nbsp\u2003em\u3000ideographic\u0085nel",
    "\ufeffbom first", "in\ufeffside \ufeff", "zero\u200bwidth\u200djoin\u00adsoft", "e\u0301 vs \u00e9, A\u030a \u212b, \ufb01 \u2460 \uff21\uff22\u3000\uff5e",
    "12345 1,234.5 \u0663\u0664\u0665 \u0967\u0968 \u00b2\u00b3 \u00bd \u2167 \u4e09 ١٢٣abc456", "'s 'S 'll 'LL it'\u017f \u212ael\u017fo 'R\u212a I'M don'T",
    "👩‍👩‍👧 🇩🇪 👍🏽 \U0001f972 x", "東京は日本の首都です。你好,世界!", "привет мир ΑΣ Σ ΌΔΟΣ İstanbul ß ẞ", "(a){b}[c]<d>«e»‘f’“g”—h…i¿j¡k$l+m=n`o^p|q~r_s",
    "▁already ▁▁ spelt▁", "<0x0A> <0x41> literal <unk> <s> </s>", "<s>at the start", "mid<s>dle </s> end</s>", "<|end|> <|end|>x<|end|>  y  <|end|>\n",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>", "[CLS] bert [SEP] [MASK]ed [UNK] a[MASK]b", "word words aword WORD Word, word_ (word) 3word word\u0301 wordé",
    "left  LEFT right  RIGHT  both \u0085 BOTH\u00a0end", "    four        eight\n        code()", "\x00nul\x01\x7f\ufffd\ufffe", "ａｂｃ　ｄｅｆ １２３",
    "naïve café Größe Straße", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thethethethethe the the thing thingthing saying" * 3, "x" * 101 + " y", "``quoted'' ``", "क्षि नि กำ ཨོཾ ﷺ ا\u064b", "\u0300lead \u0300", "a\u0000b", "e\u0301\u0302\u0303 \u1100\u1161\u11a8",
]

WORD = pre_tokenizers.ByteLevel(add_prefix_space=False)
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
PHI4 = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:[sdmt]|ll|ve|re)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])


def token(id, content, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special, **flags}


def layout(model, normalizer=None, pre=None, post=None, decoder=None, added=(), **more):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added), "normalizer": normalizer,
            "pre_tokenizer": pre, "post_processor": post, "decoder": decoder, "model": model, **more}


def trained(pre, normalizer=None, size=330, alphabet=None):
    """Vocabulary and merges of byte pairs, trained on the corpus."""
    tokenizer = Tokenizer(models.BPE())
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) if alphabet is None else alphabet
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.split("\n"), trainer)
    return json.loads(tokenizer.to_str())["model"]


def byte_model(size=330, **more):
    model = trained(WORD, size=size)
    return {**model, **more}


LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BARE = {**LEVEL, "use_regex": False}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern if isinstance(pattern, dict) else {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts, key="pretokenizers"):
    return {"type": "Sequence", key: list(parts)}


def template(before=(), after=()):
    pieces = [{"SpecialToken": {"id": w, "type_id": 0}} for w, _ in before] + [{"Sequence": {"id": "A", "type_id": 0}}]
    pieces += [{"SpecialToken": {"id": w, "type_id": 0}} for w, _ in after]
    pair = pieces + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": pieces, "pair": pair,
            "special_tokens": {w: {"id": w, "ids": [i], "tokens": [w]} for w, i in (*before, *after)}}


# SentencePiece

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def sentence_piece(fuse=True):
    """Byte pairs on ▁words, then special tokens and bytes before them, as LLaMA-2 has them."""
    spaced = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model = trained(pre_tokenizers.Split("▁", "merged_with_next"), spaced, size=140, alphabet=[])
    words = sorted(model["vocab"], key=model["vocab"].get)
    runs = ["▁▁", "▁▁▁▁"]
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    merges[1:1] = [["▁", "▁"], ["▁▁", "▁▁"]]
    vocab = {w: i for i, w in enumerate([*SPECIAL, *BYTES, *words, *runs])}
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": fuse, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": merges}


LLAMA_DECODER = sequence({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0}, key="decoders")
LLAMA_NORMALIZER = sequence({"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, key="normalizers")
LLAMA_ADDED = [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>")]
BOS = template([("<s>", 1)])
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def unigram(words, byte_fallback=False, unk=0, specials=("<unk>",)):
    vocab = [[w, 0.0] for w in specials] + ([[b, -20.0] for b in BYTES] if byte_fallback else [])
    vocab += [[w, -1.0 - 0.37 * i] for i, w in enumerate(words)]
    return {"type": "Unigram", "unk_id": unk, "vocab": vocab, "byte_fallback": byte_fallback}


PIECES = ["▁", *"etaoinshrdlucmfwypvbgkjqxz.,'!?TI0123456789", "▁the", "▁a", "the", "ing", "▁fox", "▁qu", "ick", "er", "▁is", "é", "ö", "ß", "東京", "京", "▁▁"]


def charsmap():
    """A small compiled normalizer, with rules of one and of several characters, and some that remove."""
    import base64
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb2

    rules = [("FF5E", "7E"), ("FF21", "41"), ("FF22", "42"), ("65 301", "E9"), ("41 30A", "C5"), ("FB01", "66 69"), ("9", "20"), ("A", "20"),
             ("A0", "20"), ("3000", "20"), ("AD", ""), ("200B", "20"), ("2460", "31"), ("FEFF", ""), ("2026", "2E 2E 2E"), ("1100 1161 11A8", "AC01"), ("D", "20")]
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "rules.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rules))
        (d / "text.txt").write_text(CORPUS * 4)
        sentencepiece.SentencePieceTrainer.train(input=str(d / "text.txt"), model_prefix=str(d / "m"), vocab_size=90, hard_vocab_limit=False,
                                                 normalization_rule_tsv=str(d / "rules.tsv"), minloglevel=3)
        proto = pb2.ModelProto()
        proto.ParseFromString((d / "m.model").read_bytes())
        return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


# WordPiece of single characters: its tokens tell where pieces begin.

CHARACTERS = sorted({c for t in [*TEXTS, CORPUS] for c in t if c.isprintable() or c in "\n\t\r\u0085\u00a0\u3000"})


def characters(**more):
    words = ["[UNK]", *CHARACTERS, *("##" + c for c in CHARACTERS)]
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 200,
            "vocab": {w: i for i, w in enumerate(dict.fromkeys(words))}, **more}


def bert():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?'", "the", "quick", "##ing", "##s", "say", "bert", "東", "京"]
    words += ["##" + c for c in "abcdefghijklmnopqrstuvwxyz0123456789"]
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {w: i for i, w in enumerate(words)}}


def layouts():
    n = 330
    eot = token(n, "<|endoftext|>")
    im = [token(n, "<|endoftext|>"), token(n + 1, "<|im_start|>"), token(n + 2, "<|im_end|>")]
    level_decoder = {**LEVEL, "add_prefix_space": True}
    yield "gpt2", layout({k: v for k, v in byte_model().items() if k != "type"}, pre=LEVEL, post={**LEVEL, "trim_offsets": False}, decoder=LEVEL, added=[eot])
    yield "gpt2-prefix", layout(byte_model(), pre={**LEVEL, "add_prefix_space": True}, decoder=LEVEL, added=[eot])
    yield "opt", layout(byte_model(), pre=LEVEL, post={"type": "RobertaProcessing", "sep": ["</s>", n + 1], "cls": ["<s>", n], "trim_offsets": True, "add_prefix_space": False},
                        decoder=LEVEL, added=[token(n, "<s>", normalized=True), token(n + 1, "</s>", normalized=True), token(n + 2, "<mask>", lstrip=True)])
    yield "llama3", layout(byte_model(ignore_merges=True), pre=sequence(split(LLAMA3), BARE), decoder=LEVEL,
                           post=sequence({**LEVEL}, template([("<|begin|>", n)]), key="processors"), added=[token(n, "<|begin|>"), token(n + 1, "<|end|>")])
    yield "qwen2", layout(byte_model(), {"type": "NFC"}, sequence(split(QWEN2), BARE), {**LEVEL}, LEVEL, im)
    yield "gpt-oss", layout(byte_model(), None, sequence(split(O200K), BARE), None, LEVEL, im)
    yield "phi4", layout(byte_model(), None, sequence(split(PHI4), BARE), None, LEVEL, im)
    yield "neox", layout(byte_model(), {"type": "NFC"}, LEVEL, template(), LEVEL,
                         [eot, *(token(n + i, " " * (26 - 2 * i), special=False) for i in range(1, 12))])
    yield "bloom", layout(byte_model(), None, sequence(split(r" ?[^(\s|[.,!?…。,、।۔،])]+"), BARE), None, LEVEL, [eot])
    yield "starcoder", layout(byte_model(), None, sequence({"type": "Digits", "individual_digits": True}, LEVEL), None, LEVEL, [eot])
    yield "falcon", layout(byte_model(), None, sequence({"type": "Punctuation", "behavior": "Contiguous"}, LEVEL, {"type": "Digits", "individual_digits": False},
                                                       split("[0-9][0-9][0-9]")), None, level_decoder, [eot])
    yield "deepseek", layout(byte_model(), sequence(key="normalizers"), sequence(
        split("[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(r"\s+$"),
        split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, BARE), template([("<s>", n)]), LEVEL, [token(n, "<s>", normalized=True)])
    yield "byte-normalizer", layout(byte_model(), {"type": "ByteLevel"}, None, None, LEVEL, [eot])

    llama = lambda **more: layout(**{"model": sentence_piece(), "normalizer": LLAMA_NORMALIZER, "post": BOS, "decoder": LLAMA_DECODER, "added": LLAMA_ADDED, **more})
    first = {**METASPACE, "prepend_scheme": "first", "split": False}
    size = len(sentence_piece()["vocab"])
    yield "llama2", llama()
    yield "llama2-first", llama(normalizer=None, pre=first)
    yield "llama2-unknown", llama(model={**sentence_piece(fuse=False), "byte_fallback": False})
    yield "llama2-fused", llama(model={**sentence_piece(), "byte_fallback": False})
    some = sentence_piece(fuse=False)
    del some["vocab"]["<0xC3>"], some["vocab"]["<0xE2>"]
    yield "llama2-some-bytes", llama(model=some, added=[])
    yield "mistral", llama(pre=first, normalizer=None, added=[*LLAMA_ADDED, token(size, "[INST]"), token(size + 1, "[/INST]")])
    yield "phi3", llama(added=[token(0, "<unk>"), token(1, "<s>"), token(2, "</s>", rstrip=True), token(size, "<|end|>", rstrip=True), token(size + 1, "<|im_start|>", rstrip=True)])
    yield "gemma", llama(normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, pre=split({"String": " "}, "MergedWithPrevious"),
                         decoder=sequence({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, key="decoders"),
                         added=[*LLAMA_ADDED, token(size, "\n\n", False, normalized=False), token(size + 1, "▁▁▁", False, normalized=False)])

    metaspace = {"normalizer": None, "pre": METASPACE, "decoder": METASPACE}
    yield "sarashina", layout(unigram(PIECES, True), decoder=sequence({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, key="decoders"), pre=METASPACE)
    yield "t5", layout(unigram(PIECES, unk=2, specials=["<pad>", "</s>", "<unk>"]), normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap()}, pre=METASPACE,
                       post=template(after=[("</s>", 1)]), decoder=METASPACE, added=[token(0, "<pad>"), token(1, "</s>"), token(2, "<unk>")])
    yield "xlm-roberta", layout(unigram(PIECES, unk=3, specials=["<s>", "<pad>", "</s>", "<unk>"]),
                                normalizer=sequence({"type": "Precompiled", "precompiled_charsmap": charsmap()}, {"type": "Strip", "strip_left": False, "strip_right": True},
                                                    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}, key="normalizers"), pre=METASPACE,
                                post=template([("<s>", 0)], [("</s>", 2)]), decoder=METASPACE, added=[token(0, "<s>"), token(2, "</s>"), token(3, "<unk>")])
    yield "albert", layout(unigram(PIECES), normalizer=sequence(
        {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "Replace", "pattern": {"String": "''"}, "content": "\""}, {"type": "NFKD"},
        {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Nmt"}, key="normalizers"), pre=sequence({"type": "WhitespaceSplit"}, METASPACE), decoder=METASPACE)
    yield "unigram-whole", layout(unigram(PIECES), pre={**METASPACE, "split": False, "prepend_scheme": "never"}, decoder={**METASPACE, "prepend_scheme": "never"})

    yield "bert", layout(bert(), {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}, {"type": "BertPreTokenizer"},
                         {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, {"type": "WordPiece", "prefix": "##", "cleanup": True},
                         [token(i, w) for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])] + [token(4, "[MASK]", lstrip=True)])
    yield "bert-cased", layout(bert(), {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
                               {"type": "BertPreTokenizer"}, None, {"type": "WordPiece", "prefix": "##", "cleanup": False})
    merges = [["t", "h"], ["e", "r</w>"], ["th", "e</w>"], ["i", "n"], ["in", "g</w>"], ["th", "e"], ["a", "</w>"], ["s", "a"], ["0", "0</w>"]]
    letters = [chr(c) for c in (*range(33, 127), 0xE9, 0xF6, 0xDF)]
    words = [*letters, *(c + "</w>" for c in letters), "</w>", *("".join(pair) for pair in merges)]
    clip = {**trained(None), "end_of_word_suffix": "</w>", "vocab": {w: i for i, w in enumerate(dict.fromkeys(words))}, "merges": merges}
    yield "clip", layout({**clip, "unk_token": "the</w>"}, sequence({"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}, key="normalizers"),
                         split(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "Removed", True), None, {"type": "BPEDecoder", "suffix": "</w>"})
    # The layout of CLIP's own file.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(c + "</w>" for c in letters), *("".join(pair) for pair in merges), "<|startoftext|>", "<|endoftext|>"]
    clip = {**clip, "vocab": {w: i for i, w in enumerate(dict.fromkeys(words))}, "unk_token": "<|endoftext|>", "continuing_subword_prefix": ""}
    clip["merges"] = [pair for pair in merges if all(part in clip["vocab"] for part in pair)]
    ends = [token(clip["vocab"][w], w) for w in ("<|startoftext|>", "<|endoftext|>")]
    yield "clip-bytes", layout(clip, sequence({"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}, key="normalizers"),
                               sequence(split(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "Removed", True), LEVEL, key="pretokenizers"),
                               {"type": "RobertaProcessing", "sep": [ends[1]["content"], ends[1]["id"]], "cls": [ends[0]["content"], ends[0]["id"]], "trim_offsets": False, "add_prefix_space": False},
                               {**LEVEL, "add_prefix_space": True}, ends)
    merges = [["t", "##h"], ["##h", "##e"], ["th", "##e"], ["##i", "##n"], ["##in", "##g"], ["##e", "##r"], ["s", "##a"], ["##a", "##b"], ["##ab", "##ab"]]
    letters = [chr(c) for c in (*range(33, 127), 0xE9, 0xF6, 0xDF)]
    words = [*letters, *("##" + c for c in letters), *(a + b[2:] for a, b in merges)]
    prefixed = {**trained(None), "continuing_subword_prefix": "##", "vocab": {w: i for i, w in enumerate(words)}, "merges": merges}
    yield "prefixed", layout(prefixed, None, {"type": "Whitespace"}, None, {"type": "WordPiece", "prefix": "##", "cleanup": False})
    words = ["<unk>", *sorted(set(CORPUS.replace(".", " ").split()))]
    yield "word-level", layout({"type": "WordLevel", "unk_token": "<unk>", "vocab": {w: i for i, w in enumerate(words)}}, None, {"type": "Whitespace"})

    flags = [token(1000, "word", False, single_word=True), token(1001, "LEFT", False, lstrip=True), token(1002, "RIGHT", False, rstrip=True),
             token(1003, "BOTH", False, lstrip=True, rstrip=True, normalized=False), token(1004, "<s>", single_word=True), token(1005, "thing", False), token(1006, "things", False, normalized=False)]
    for name, normalizer in (("lower", {"type": "Lowercase"}), ("plain", None)):
        model = characters()
        more = [{**t, "id": len(model["vocab"]) + i} for i, t in enumerate(flags)]
        yield f"added-{name}", layout(model, normalizer, None, None, None, more)

    pieces = {"whitespace": {"type": "Whitespace"}, "whitespace-split": {"type": "WhitespaceSplit"}, "digits": {"type": "Digits", "individual_digits": False},
              "digits-each": {"type": "Digits", "individual_digits": True}, "delimiter": {"type": "CharDelimiterSplit", "delimiter": "."}, "bert": {"type": "BertPreTokenizer"},
              "fixed": {"type": "FixedLength", "length": 3}, "metaspace": {"type": "Metaspace", "replacement": "_", "add_prefix_space": True},
              "first": sequence(split(r"\s", "MergedWithPrevious"), {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"})}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        pieces[f"punctuation-{behavior}"] = {"type": "Punctuation", "behavior": behavior}
        for invert in (False, True):
            pieces[f"{behavior}{'-invert' if invert else ''}"] = split(r"\s|x*(?=b)|\d+", behavior, invert)
    yield "pieces", [layout(characters(), None, pre) for pre in pieces.values()]
    folds = [r"(?i:[sk]e|'s)", r"\w+(?=\W)", r"\bt\B", r"^.|.$", r"[^\W\d]+", r"\h{2}", r"[[:punct:]]+", r"\p{Han}", r"[\p{L}&&[^a-m]]+", r"\x{65}", r"\A\s*|\s*\z", r"a{,2}", r"(?>a+|\s)b?", r"(?:t|th)?+e", r"\s*+x|\d++\.|[]x]+", r"(?>x(?>a|ab)*)y|.", r"\p{L}*+\d", "(a|b)++b"]
    yield "expressions", [layout(characters(), None, split(e)) for e in folds]
    changes = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")]
    changes += [{"type": "Strip", "strip_left": l, "strip_right": r} for l, r in ((True, True), (True, False), (False, True))]
    changes += [{"type": "Prepend", "prepend": "x"}, {"type": "Replace", "pattern": {"Regex": "[aeiou]+"}, "content": "$&"}, {"type": "Replace", "pattern": {"String": "."}, "content": ""}]
    yield "normalizers", [layout(characters(), change) for change in changes]


def configured():
    """Cases where tokenizer_config.json has something to say: judged by transformers."""
    n = 330
    fields = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    said = lambda **flags: {k: v for k, v in token(0, **flags).items() if k in fields}
    base = lambda added=(), post=None: layout(byte_model(), None, LEVEL, post, LEVEL, added)
    config = lambda **more: {"tokenizer_class": "PreTrainedTokenizerFast", **more}
    chat = {"330": said(content="<|im_start|>"), "331": said(content="<|im_end|>")}
    yield "only-in-config", base(), config(eos_token="<|im_end|>", added_tokens_decoder=chat)
    yield "flags-differ", base([token(n, "<|im_end|>")]), config(added_tokens_decoder={"330": said(content="<|im_end|>", rstrip=True, lstrip=True)})
    yield "named-only", base(), config(bos_token="<s>", eos_token="</s>", pad_token={"__type": "AddedToken", **said(content="<|end|>", lstrip=True)})
    yield "named-and-added", base([token(n, "<|end|>", normalized=True)]), config(eos_token={"__type": "AddedToken", **said(content="<|end|>", lstrip=True)})
    yield "named-freely", base(), config(extra_special_tokens={"image_token": "<image>", "turn_token": "<s>"})
    yield "space-in-config", base(), config(add_prefix_space=True)
    yield "named-in-vocabulary", base(), config(eos_token="the", additional_special_tokens=["ing", "<|im_start|>"])
    yield "not-special", base(), config(eos_token="<|im_end|>", added_tokens_decoder={"330": said(content="<|im_end|>", special=False)})
    yield "split-special", base([token(n, "<|im_end|>")]), config(split_special_tokens=True)
    ends = [token(n, "<s>"), token(n + 1, "</s>")]
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    yield "asks-for-bos", base(ends), config(add_bos_token=True, **named)
    yield "asks-for-both", base(ends, template([("<s>", n)])), config(add_bos_token=True, add_eos_token=True, **named)
    yield "asks-for-none", base(ends, template([("<s>", n)])), config(add_bos_token=False, **named)
    yield "asks-for-the-same", base(ends, template([("<s>", n)])), config(add_bos_token=True, **named)


def judge_pieces(tokenizers):
    """Several that differ in one part: what they have in common once, tokens alone."""
    differs = next(k for k in tokenizers[0] if any(t[k] != tokenizers[0][k] for t in tokenizers))
    parts = [{"part": t[differs], "encoded": [row[0] for row in judge(t)["encoded"]]} for t in tokenizers]
    return {"tokenizer": tokenizers[0], "differs": differs, "parts": parts}


def judge(tokenizer):
    """Tokens and texts of the Rust library."""
    judge = Tokenizer.from_str(json.dumps(tokenizer))
    encoded = []
    for text in TEXTS:
        with_special, without = judge.encode(text).ids, judge.encode(text, add_special_tokens=False).ids
        encoded.append([with_special, without, judge.decode(with_special, skip_special_tokens=False), judge.decode(with_special)])
    rng = random.Random(7)
    size = max(judge.get_vocab().values()) + 1
    drawn = [[rng.randrange(size) for _ in range(k)] for k in (1, 2, 3, 5, 8, 13, 21, 34)]
    drawn += [[i for i in row if i < size] for row in ([3 + 0xC3, 3 + 0xA9, 3 + 0x0A], [3 + 0xEF, 3 + 0xBB, 3 + 0xBF], [1, 3 + 0xE2, 3 + 0x82, 5, 2])]
    decoded = [[ids, judge.decode(ids, skip_special_tokens=False), judge.decode(ids)] for ids in drawn if ids]
    return {"tokenizer": tokenizer, "encoded": encoded, "decoded": decoded}


def judge_configured(tokenizer, config):
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "tokenizer.json").write_text(json.dumps(tokenizer))
        (d / "tokenizer_config.json").write_text(json.dumps(config))
        judge = AutoTokenizer.from_pretrained(d)
        encoded = []
        for text in TEXTS:
            with_special, without = judge(text)["input_ids"], judge(text, add_special_tokens=False)["input_ids"]
            encoded.append([with_special, without, judge.decode(with_special, clean_up_tokenization_spaces=False),
                            judge.decode(with_special, skip_special_tokens=True, clean_up_tokenization_spaces=False)])
        return {"tokenizer": tokenizer, "config": config, "encoded": encoded, "decoded": []}


def write(name, value):
    (OUT / f"{name}.json").write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    OUT.mkdir(exist_ok=True)
    write("texts", TEXTS)
    for name, made in layouts():
        write(name, judge_pieces(made) if isinstance(made, list) else judge(made))
    for name, tokenizer, config in configured():
        write(f"config-{name}", judge_configured(tokenizer, config))


main()
