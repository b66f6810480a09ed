"""Trains the demo checkpoint: a byte-level BPE tokenizer and a small LLaMA, on generated stories. Run by hand.

  npm run build:scripts && node build/scripts/demo/write-training-text.js /tmp/stories.txt
  pip install torch transformers tokenizers safetensors
  python scripts/demo/train.py /tmp/stories.txt demo/model --minutes 25

Ten blocks, hidden 128, 4 heads of which 2 key-value, MLP 288, vocabulary 768, context 256, tied head, F16.
"""

import argparse
import json
import math
import pathlib
import time

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

CONTEXT, VOCABULARY, BATCH = 256, 768, 16


def train_tokenizer(text: str, out: pathlib.Path) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text[:2_000_000].splitlines(keepends=True), trainer)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<|endoftext|>",
                "eos_token": "<|endoftext|>",
                "model_max_length": CONTEXT,
                "clean_up_tokenization_spaces": False,
            },
            indent=2,
        )
        + "\n"
    )
    return tokenizer


def save(model: LlamaForCausalLM, out: pathlib.Path) -> None:
    half = LlamaForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(out, safe_serialization=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)

    text = pathlib.Path(args.text).read_text()
    tokenizer = train_tokenizer(text, args.out)
    lines = text.splitlines(keepends=True)
    tokens = torch.tensor([i for encoded in tokenizer.encode_batch(lines) for i in encoded.ids])
    print(f"{len(tokens)} tokens, {len(text) / len(tokens):.2f} characters each", flush=True)

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=288,
            num_hidden_layers=10,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            rms_norm_eps=1e-5,
            rope_theta=10000.0,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.05)
    started, step, seen, loss_sum = time.time(), 0, 0, 0.0
    while True:
        elapsed = (time.time() - started) / (60 * args.minutes)
        if elapsed >= 1:
            break
        rate = min(1, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * elapsed)))
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * rate
        starts = torch.randint(0, len(tokens) - CONTEXT, (BATCH,))
        batch = torch.stack([tokens[s : s + CONTEXT] for s in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, seen, loss_sum = step + 1, seen + batch.numel(), loss_sum + loss.item()
        if step % 50 == 0:
            seconds = time.time() - started
            print(f"step {step} loss {loss_sum / 50:.4f} {seen / seconds:.0f} tokens/s {seconds:.0f} s", flush=True)
            loss_sum = 0.0
        if step % 500 == 0:
            save(model, args.out)
    save(model, args.out)
    print(f"{step} steps, {seen} tokens", flush=True)


if __name__ == "__main__":
    main()
