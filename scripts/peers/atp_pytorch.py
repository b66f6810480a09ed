"""ATP with Wanda in PyTorch, step by step as the published procedure does it: what `bench/` measures layerwise against.

For every beta: load the model and the calibration windows anew; catch the inputs of block 1; for every block, run the
calibration windows one at a time with a hook on each linear that keeps the mean over sequences of sum x^2, sort every row of
|W| * sqrt(mean) and zero its floor(columns * s) smallest, run the windows through the block a second time; then score
non-overlapping windows one at a time. s_i = S - beta (L - 1) / 2 + beta (i - 1), i = 1..L. Written from the papers'
equations (arXiv 2306.11695, arXiv 2502.14770), for CPU and fp32.

  python scripts/peers/atp_pytorch.py --checkpoint DIR --calibration-tokens c.i32 --eval-tokens e.i32 \
    --sequence-length 256 --sparsity 0.7 --betas 0,0.02,0.04 --threads 2

Token files hold windows [n, T] as raw little-endian int32. One JSON document goes to stdout.
"""

import argparse
import json
import math
import sys
import time

import numpy
import torch
import transformers
from torch import nn
from transformers import AutoModelForCausalLM

# Rounding that beta and the rates may carry.
SLACK = 1e-9


class FirstBlockReached(Exception):
    """Stops the forward pass once the inputs of the first block are known."""


class ColumnSquares:
    """Mean over sequences of sum over tokens x_j^2, for the inputs of one linear."""

    def __init__(self, linear: nn.Linear):
        self.mean = torch.zeros(linear.in_features)
        self.sequences = 0

    def add(self, x: torch.Tensor) -> None:
        new = x.shape[0]
        columns = x.reshape(-1, x.shape[-1]).t().float()
        self.mean *= self.sequences / (self.sequences + new)
        self.sequences += new
        self.mean += torch.norm(columns, p=2, dim=1) ** 2 / self.sequences


def rates(blocks: int, sparsity: float, beta: float) -> list[float]:
    """ATP's arithmetic progression, first block first."""
    bound = min(2 * sparsity, 2 * (1 - sparsity)) / max(blocks - 1, 1)
    if not 0 <= beta <= bound + SLACK:
        raise SystemExit(f"beta {beta} is outside [0, {bound}] for {blocks} blocks at sparsity {sparsity}")
    line = [sparsity - beta * (blocks - 1) / 2 + beta * i for i in range(blocks)]
    # At the bound itself the ends are 0 or 1 up to rounding, which floor(columns * s) must not see.
    return [float(round(rate)) if abs(rate - round(rate)) < SLACK else rate for rate in line]


def read_windows(path: str, length: int) -> torch.Tensor:
    tokens = numpy.fromfile(path, dtype="<i4")
    if len(tokens) == 0 or len(tokens) % length != 0:
        raise SystemExit(f"{path} holds {len(tokens)} tokens, which is no positive multiple of {length}")
    return torch.from_numpy(tokens.astype("int64")).reshape(-1, length)


def load(checkpoint: str) -> nn.Module:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model.config.use_cache = False
    return model.eval()


def first_inputs(model: nn.Module, windows: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """What enters block 1, [n, T, hidden], and the arguments every block is called with."""
    inputs = torch.zeros(*windows.shape, model.config.hidden_size)
    caught = {}

    def catch(module, args, kwargs):
        caught["hidden"] = args[0] if args else kwargs.pop("hidden_states")
        caught["kwargs"] = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        raise FirstBlockReached

    hook = model.model.layers[0].register_forward_pre_hook(catch, with_kwargs=True)
    for i in range(len(windows)):
        try:
            model(windows[i : i + 1])
        except FirstBlockReached:
            inputs[i] = caught["hidden"][0]
    hook.remove()
    return inputs, caught["kwargs"]


def run_block(block: nn.Module, inputs: torch.Tensor, outputs: torch.Tensor, kwargs: dict) -> None:
    for i in range(len(inputs)):
        output = block(inputs[i : i + 1], **kwargs)
        outputs[i] = (output[0] if isinstance(output, tuple) else output)[0]


@torch.no_grad()
def prune(model: nn.Module, windows: torch.Tensor, block_rates: list[float]) -> None:
    """Block by block: statistics before pruning, the next block's inputs after it."""
    inputs, kwargs = first_inputs(model, windows)
    outputs = torch.zeros_like(inputs)
    for block, rate in zip(model.model.layers, block_rates, strict=True):
        linears = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
        squares = {name: ColumnSquares(linear) for name, linear in linears.items()}
        hooks = [
            linear.register_forward_hook(lambda _, x, __, name=name: squares[name].add(x[0].data))
            for name, linear in linears.items()
        ]
        run_block(block, inputs, outputs, kwargs)
        for hook in hooks:
            hook.remove()
        for name, linear in linears.items():
            W = linear.weight.data
            scores = W.abs() * torch.sqrt(squares[name].mean.reshape(1, -1))
            order = torch.sort(scores, dim=-1, stable=True).indices
            mask = torch.zeros_like(scores, dtype=torch.bool)
            mask.scatter_(1, order[:, : int(W.shape[1] * rate)], True)
            W[mask] = 0
        run_block(block, inputs, outputs, kwargs)
        inputs, outputs = outputs, inputs


@torch.no_grad()
def perplexity(model: nn.Module, windows: torch.Tensor) -> float:
    """exp of the mean of the windows' means; the first token of a window is not scored."""
    length = windows.shape[1]
    losses = []
    for i in range(len(windows)):
        window = windows[i : i + 1]
        logits = model(window).logits.float()
        loss = nn.functional.cross_entropy(logits[0, :-1], window[0, 1:])
        losses.append(loss * length)
    return torch.exp(torch.stack(losses).sum() / (len(windows) * length)).item()


def trial(checkpoint: str, calibration: str, evaluation: torch.Tensor, length: int, sparsity: float, beta: float) -> dict:
    start = time.perf_counter()
    model = load(checkpoint)
    windows = read_windows(calibration, length)
    loaded = time.perf_counter()
    block_rates = rates(len(model.model.layers), sparsity, beta)
    prune(model, windows, block_rates)
    pruned = time.perf_counter()
    ppl = perplexity(model, evaluation)
    end = time.perf_counter()
    seconds = dict(
        load=loaded - start, calibrate_prune=pruned - loaded, evaluate=end - pruned, total=end - start
    )
    zeros = sum((linear.weight == 0).sum().item() for linear in model.model.layers.modules() if isinstance(linear, nn.Linear))
    weights = sum(linear.weight.numel() for linear in model.model.layers.modules() if isinstance(linear, nn.Linear))
    return dict(beta=beta, rates=block_rates, realised=zeros / weights, perplexity=ppl if math.isfinite(ppl) else None, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="ATP with Wanda in PyTorch, as published; prints JSON.")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--calibration-tokens", required=True)
    parser.add_argument("--eval-tokens", required=True)
    parser.add_argument("--sequence-length", type=int, required=True)
    parser.add_argument("--sparsity", type=float, required=True)
    parser.add_argument("--betas", required=True, help="comma-separated; 0 is uniform")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()

    betas = [float(beta) for beta in options.betas.split(",")]
    length = options.sequence_length
    evaluation = read_windows(options.eval_tokens, length)
    dense = load(options.checkpoint)
    for beta in betas:
        rates(len(dense.model.layers), options.sparsity, beta)
    start = time.perf_counter()
    dense_perplexity = perplexity(dense, evaluation)
    dense_seconds = time.perf_counter() - start
    del dense

    trials = []
    for beta in betas:
        trials.append(trial(options.checkpoint, options.calibration_tokens, evaluation, length, options.sparsity, beta))
        last = trials[-1]
        print(f"beta {beta:.5f}: perplexity {last['perplexity']}, {last['seconds']['total']:.1f} s", file=sys.stderr)
    document = dict(
        torch=torch.__version__,
        transformers=transformers.__version__,
        threads=options.threads,
        sparsity=options.sparsity,
        windows=dict(calibration=len(read_windows(options.calibration_tokens, length)), evaluation=len(evaluation), length=length),
        dense=dict(perplexity=dense_perplexity, seconds=dense_seconds),
        trials=trials,
    )
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
