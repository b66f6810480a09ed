"""TAEF2's decoder and photographs as examples/invert.ts reads them. Run by hand.

  pip install torch safetensors pillow numpy
  python scripts/invert/taef2.py taef2_decoder.pth OUT_DIR photograph.jpg [more.jpg …] --size 96

taef2_decoder.pth is of github.com/madebyollin/taesd (MIT). Writes OUT_DIR/taef2.safetensors, the weights under their names and
in their dtype, F16, and OUT_DIR/photographs.safetensors: of each image the middle square, float32 [count, 3, size, size] in [0, 1].
With --judge also what PyTorch makes of a seeded latent, for a comparison with the graph.
"""

import argparse
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file


def photograph(path: str, size: int) -> torch.Tensor:
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.resize((size, size), Image.LANCZOS, box=(left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def decode(weights: dict[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    F = torch.nn.functional
    w = {name: tensor.double() for name, tensor in weights.items()}

    def conv(x: torch.Tensor, name: str, pad: int = 1) -> torch.Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), padding=pad)

    def block(x: torch.Tensor, at: int) -> torch.Tensor:
        if f"{at}.pool.0.weight" in w:
            wide = F.group_norm(conv(x, f"{at}.pool.0", 0), 4, w[f"{at}.pool.1.weight"], w[f"{at}.pool.1.bias"])
            x = x + conv(F.relu(wide), f"{at}.pool.3", 0)
        h = conv(F.relu(conv(F.relu(conv(x, f"{at}.conv.0")), f"{at}.conv.2")), f"{at}.conv.4")
        return F.relu(h + x)

    x = F.relu(conv(torch.tanh(z.double() / 3) * 3, "1"))
    for first in (3, 8, 13):
        for at in range(first, first + 3):
            x = block(x, at)
        x = conv(F.interpolate(x, scale_factor=2), f"{first + 4}")
    return conv(block(x, 18), "19")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("images", nargs="*")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--judge", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = torch.load(options.weights, map_location="cpu", weights_only=True)
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(weights, options.out / "taef2.safetensors")
    if options.images:
        images = torch.stack([photograph(path, options.size) for path in options.images]).contiguous()
        save_file({"images": images}, options.out / "photographs.safetensors")
    if options.judge:
        z = torch.randn(1, 32, 2, 3, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            image = decode(weights, z)
        save_file({"z": z, "image": image.float().contiguous()}, options.out / "judge.safetensors")


if __name__ == "__main__":
    main()
