"""Shows that PEFT loads an adapter of `layerwise heal --train lora --adapter`, and that the model then has our logits.

  pip install torch transformers peft && npm run build
  python scripts/peers/adapter.py <checkpoint> <adapter> <text>

The checkpoint is the one that was healed (sparse or quantised), the adapter what heal wrote. PEFT applies W x + s B A x; the
same with the adapter merged is what heal scored, so the perplexity printed here on the text is that of layerwise.json for the
same text and windows. Prints the keys that PEFT did not find, which must be none, and both perplexities.
"""

import argparse
import json
import math
import pathlib

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("adapter")
    parser.add_argument("text")
    given = parser.parse_args()
    record = json.loads((pathlib.Path(given.adapter) / "layerwise.json").read_text())
    text = record["texts"]["validation"]
    ids = Tokenizer.from_file(str(pathlib.Path(given.checkpoint) / "tokenizer.json")).encode(
        pathlib.Path(given.text).read_text(), add_special_tokens=text["bos"] is None
    ).ids
    T, bos = text["length"], text["bos"]
    piece = T if bos is None else T - 1
    windows = [ids[i : i + piece] for i in range(0, len(ids) - piece + 1, piece)]
    windows = [[bos, *window] if bos is not None else window for window in windows]
    base = AutoModelForCausalLM.from_pretrained(given.checkpoint, dtype=torch.float32)

    def perplexity(model: torch.nn.Module) -> float:
        losses = []
        with torch.no_grad():
            for at in range(0, len(windows), 16):
                batch = torch.tensor(windows[at : at + 16])
                logits = model(input_ids=batch).logits[:, :-1]
                loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
                losses += loss.mean(dim=1).tolist()
        return math.exp(sum(losses) / len(losses))

    print("windows", len(windows), "recorded", text["windows"])
    print("checkpoint alone", perplexity(base), "recorded", record["scores"]["start"]["perplexity"]["validation"])
    model = PeftModel.from_pretrained(base, given.adapter)
    count = sum("lora_" in name for name, _ in model.named_parameters())
    print("matrices of LoRA", count, "trained", 2 * record["trained"]["tensors"])
    found, recorded = perplexity(model), record["scores"]["healed"]["perplexity"]["validation"]
    print("with the adapter", found, "recorded", recorded, "ratio", found / recorded)
    assert count == 2 * record["trained"]["tensors"] and abs(found / recorded - 1) < 1e-4


if __name__ == "__main__":
    main()
