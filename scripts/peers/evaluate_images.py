"""Top-1 and cross-entropy of checkpoints on a folder of images, one folder for each class, by transformers and Pillow: the judge of
what `layerwise evaluate --images` says of a checkpoint that `cut` wrote.

  pip install torch transformers pillow && python scripts/peers/evaluate_images.py FOLDER CHECKPOINT …
"""

import logging
import pathlib
import sys

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

BATCH = 100


def main(folder, *checkpoints):
    logging.disable(logging.WARNING)
    files = sorted(pathlib.Path(folder).glob("*/*"))
    for checkpoint in checkpoints:
        model, info = AutoModelForImageClassification.from_pretrained(checkpoint, output_loading_info=True, dtype=torch.float32)
        if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            sys.exit(f"{checkpoint}: {info}")
        processor = AutoImageProcessor.from_pretrained(checkpoint, use_fast=False)
        ids = {name: int(i) for i, name in model.config.id2label.items()}
        right, loss = 0, 0.0
        for at in range(0, len(files), BATCH):
            some = files[at : at + BATCH]
            images = [Image.open(file).convert("RGB") for file in some]
            labels = torch.tensor([ids[file.parent.name] for file in some])
            with torch.no_grad():
                logits = model.eval()(**processor(images, return_tensors="pt")).logits
            right += (logits.argmax(1) == labels).sum().item()
            loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        parameters = sum(p.numel() for p in model.parameters())
        print(f"{checkpoint}: {parameters} parameters, top-1 {right / len(files):.4f}, cross-entropy {loss / len(files):.4f}, {len(files)} images", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
