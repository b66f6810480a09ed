"""Writes test/golden/generate.json: what transformers writes and says with the checkpoint that ships with the project.

  pip install torch transformers && python scripts/golden/generate.py

greedy:  for each prompt its token ids (special tokens as the tokenizer adds them; an empty prompt is the BOS token), and the
         tokens that greedy search appends, with their text: 60, or those before the first place at which the best logit
         leads by less than MARGIN, so that another float32 implementation has no tie to break.
scores:  for each text its token ids and the log-probability of each token from the second on, float32, and whether it is
         the likeliest of its place: what lm-evaluation-harness sums.
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).parents[2]
MODEL = ROOT / "demo/model"
PROMPTS = ["", "Once upon a time", "Hannah was the", "Josephine took the"]
TEXTS = ["Ned gave the old key to her.", "It was raining. Clara went to the mill, and she had a red lamp.", "Größe: 3 €"]
TOKENS = 60
MARGIN = 1e-3


def main():
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    with torch.no_grad():
        greedy = [write(tokenizer, model, prompt) for prompt in PROMPTS]
        scores = [score(tokenizer, model, text) for text in TEXTS]
    out = ROOT / "test/golden/generate.json"
    out.write_text(json.dumps({"greedy": greedy, "scores": scores}, indent=1, ensure_ascii=False) + "\n")


def write(tokenizer, model, prompt):
    ids = tokenizer(prompt)["input_ids"] or [tokenizer.bos_token_id]
    start = len(ids)
    for _ in range(TOKENS):
        logits = model(torch.tensor([ids])).logits[0, -1]
        best = logits.topk(2)
        if best.values[0] - best.values[1] < MARGIN:
            break
        assert best.indices[0] != tokenizer.eos_token_id
        ids.append(best.indices[0].item())
    assert len(ids) - start >= 10, prompt
    text = tokenizer.decode(ids[start:], clean_up_tokenization_spaces=False)
    return {"prompt": prompt, "promptTokens": ids[:start], "tokens": ids[start:], "text": text}


def score(tokenizer, model, text):
    ids = tokenizer(text)["input_ids"]
    logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    told = [logprobs[i, token].item() for i, token in enumerate(ids[1:])]
    best = [logprobs[i].argmax().item() == token for i, token in enumerate(ids[1:])]
    return {"text": text, "tokens": ids, "logprobs": told, "likeliest": best}


if __name__ == "__main__":
    main()
