"""The peer of bench/gradient.ts: forward and backward of one LLaMA block in PyTorch, float32, with checkpointing and without.

A plain block on torch's own operators (scaled_dot_product_attention, rms_norm, silu), which is faster than transformers' layer.
Reads a safetensors file with the block's weights and the tensors x and d_y [B, T, D]; prints one line of JSON: seconds of wall
time and of all threads' processor time for each of `--turns` runs, and writes the gradients to --out, float32, in the order
of the file's names, after that of x.

  python scripts/peers/gradient_pytorch.py --file block.safetensors --heads 8 --threads 1 --turns 5 --out gradients.f32
"""

import argparse
import json
import os
import time

import torch
from safetensors.torch import load_file
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu
from torch.utils.checkpoint import checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--file", required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tensors = load_file(args.file)
    x, d_y = tensors.pop("x"), tensors.pop("d_y")
    names = sorted(tensors)
    for tensor in (x, *tensors.values()):
        tensor.requires_grad_()
    w = {name.removeprefix("model.layers.0.").removesuffix(".weight"): tensor for name, tensor in tensors.items()}
    B, T, D = x.shape
    h = D // args.heads
    angles = torch.outer(torch.arange(T).float(), 10000.0 ** (-torch.arange(0, h, 2).float() / h))
    cos, sin = (torch.cat([table, table], -1) for table in (angles.cos(), angles.sin()))

    def rotate(q: torch.Tensor) -> torch.Tensor:
        return q * cos + torch.cat([-q[..., h // 2 :], q[..., : h // 2]], -1) * sin

    def block(x: torch.Tensor) -> torch.Tensor:
        z = rms_norm(x, (D,), w["input_layernorm"], 1e-5)
        q, k, v = (linear(z, w[f"self_attn.{name}_proj"]).view(B, T, -1, h).transpose(1, 2) for name in "qkv")
        attended = scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + linear(attended.transpose(1, 2).reshape(B, T, D), w["self_attn.o_proj"])
        z = rms_norm(x, (D,), w["post_attention_layernorm"], 1e-5)
        return x + linear(silu(linear(z, w["mlp.gate_proj"])) * linear(z, w["mlp.up_proj"]), w["mlp.down_proj"])

    def timed(run) -> dict[str, list[float]]:
        walls, cpus = [], []
        for turn in range(args.turns + 1):
            for tensor in (x, *tensors.values()):
                tensor.grad = None
            times, started = os.times(), time.perf_counter()
            run()
            wall, after = time.perf_counter() - started, os.times()
            if turn > 0:
                walls.append(wall)
                cpus.append(after.user + after.system - times.user - times.system)
        return {"wall": walls, "cpu": cpus}

    def forward() -> None:
        with torch.no_grad():
            block(x)

    results = {
        "forward": timed(forward),
        "kept": timed(lambda: block(x).backward(d_y)),
        "checkpointed": timed(lambda: checkpoint(block, x, use_reentrant=False).backward(d_y)),
    }
    with open(args.out, "wb") as file:
        for gradient in [x.grad, *(tensors[name].grad for name in names)]:
            file.write(gradient.contiguous().numpy().tobytes())
    print(json.dumps(results))


if __name__ == "__main__":
    main()
