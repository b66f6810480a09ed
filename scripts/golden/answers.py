"""Writes test/golden/answers.json: the tokens that transformers writes greedily to prompts with an image, by the tiny models of
test/golden/vision. Two prompts of different lengths, each with the same pixels, each by itself; no token ends them.

  pip install torch transformers==5.24.0 safetensors && python scripts/golden/answers.py
"""

import json
import logging
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.numpy import save_file
from vision import CASES, Lcg, SEED_OF_WEIGHTS, filled, pixels_of

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "test/golden/answers.json"
TOKENS = 10


def main():
    logging.disable(logging.WARNING)
    found = {}
    for name in ("llava", "llava-mistral", "llava-qwen2", "idefics3", "smolvlm"):
        golden = json.loads((ROOT / f"test/golden/vision/{name}.json").read_text())
        rng = Lcg(SEED_OF_WEIGHTS)
        tensors = {key: filled(rng, key, shape) for key, shape in golden["tensors"]}
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "config.json").write_text(json.dumps(golden["config"]))
            save_file(tensors, pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
            model, info = getattr(transformers, CASES[name][0]).from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
        if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            sys.exit(f"{name}: {info}")
        run = golden["runs"][0]["input"]
        prompts = [run["ids"][0], run["ids"][0][:-2] + [20]]
        answers = []
        for ids in prompts:
            written = model.eval().generate(
                input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), pixel_values=torch.from_numpy(pixels_of(run["pixels"])),
                max_new_tokens=TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0,
            )  # fmt: skip
            answers.append(written[0, len(ids) :].tolist())
        found[name] = dict(prompts=prompts, answers=answers)
        print(name, answers)
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in found.items())
    OUT.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
