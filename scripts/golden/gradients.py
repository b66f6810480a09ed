"""Writes test/golden/gradients.json: exact gradient norms of every linear of the demo checkpoint, by autograd in PyTorch.

The loss of a window is the mean negative log-likelihood of its tokens but the first. The windows are the first ones of the
demo's calibration text, one after the other; the test makes them again, and compares the sum of their tokens.

  npm run build:scripts
  node -e "import('./build/scripts/demo/texts.js').then((m) => process.stdout.write(m.TEXTS.calibration()))" > /tmp/calibration.txt
  pip install torch transformers tokenizers && python scripts/golden/gradients.py /tmp/calibration.txt

norms   by linear: ||dL/dW||_F, the root of its mean square over windows (what ECoFLaP's estimate has as its mean), float64
mean    by linear: the norm of the gradient of the mean loss over all windows
"""

import argparse
import json
import pathlib

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "test/golden/gradients.json"
LENGTH = 256
KINDS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=32)
    args = parser.parse_args()
    checkpoint = ROOT / "demo/model"
    ids = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(args.text.read_text()).ids
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64, attn_implementation="eager").eval()
    weights = {
        name.removesuffix(".weight"): parameter
        for name, parameter in model.named_parameters()
        if any(f".{kind}.weight" in name for kind in KINDS)
    }
    squares = {name: 0.0 for name in weights}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    losses = []
    for window in range(args.windows):
        tokens = torch.tensor([ids[window * LENGTH : (window + 1) * LENGTH]])
        loss = model(input_ids=tokens, labels=tokens).loss
        gradients = torch.autograd.grad(loss, list(weights.values()))
        losses.append(loss.item())
        for name, gradient in zip(weights, gradients):
            squares[name] += gradient.square().sum().item() / args.windows
            sums[name] += gradient / args.windows
    golden = {
        "windows": args.windows,
        "length": LENGTH,
        "tokens": sum(ids[: args.windows * LENGTH]),
        "loss": sum(losses) / len(losses),
        "norms": {name: square**0.5 for name, square in squares.items()},
        "mean": {name: total.norm().item() for name, total in sums.items()},
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
