"""Writes test/golden/criteria: masks of the criteria that give masks, in every pattern, in PyTorch.

Scores are written from the papers' equations: magnitude |W|; Wanda (arXiv 2306.11695) |W| ||X_j||; RIA ("Plug-and-Play",
ICLR 2024) (|W| / sum_i |W| + |W| / sum_j |W|) ||X_j||^0.5, where a row or column that is all zeros has share 0; DSnoT (arXiv
2310.08915) from the mask of one of those.
Patterns: `row`, `matrix`, `columns` (128 columns of all rows, the count spread by largest remainder), and N of every M
consecutive columns KEPT; a last group of r < M columns loses floor(r (M - N) / M).

  pip install torch numpy safetensors && python scripts/golden/criteria.py

golden.safetensors  <case>.W F32 [rows, columns]; <case>.squareSums F32 [columns], sum over all tokens of x_j^2; <case>.sums of x_j
                    <case>.<criterion>.<pattern> U8 [rows, ceil(columns / 8)]; bit j % 8 (lowest first) of byte j / 8 is
                    column j, 1 = pruned
golden.json         <case>: sequences and their length, the swaps of each DSnoT, and of each mask its count

Pruned are the first of a stable sort, row-major. The seed of a case is the first for which float64 gives the same masks and
no kept score lies within 1e-5 (relative) of the one that was pruned last, unless both are exactly equal (the `ties` case and
zeros), so that another fp32 implementation can be asked for the same bits.
"""

import argparse
import json
import math
import pathlib
import shutil

import numpy
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/criteria"
PANEL = 128
SMALLEST_GAP = 1e-5
SEQUENCES, LENGTH = 4, 8
# name: rows, columns, pruned share of the patterns that take any count
CASES = {"even": (12, 64, 0.5), "panels": (10, 300, 0.63), "zeros": (8, 40, 0.45), "ties": (6, 32, 0.5)}
DSNOT = [("dsnot", "row"), ("dsnot-magnitude", "row"), ("dsnot-ria", "row"), ("dsnot", "matrix")]
DSNOT += [("dsnot", "2:4"), ("dsnot-ria", "4:8"), ("dsnot-magnitude", "7:16"), ("dsnot", "5:32")]
KEPT = [(2, 4), (3, 4), (4, 8), (3, 8), (7, 16), (5, 32)]


def make(name: str, seed: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    W = normal(rows, columns) * torch.exp(0.4 * normal(rows, 1)) / math.sqrt(columns)
    X = normal(SEQUENCES * LENGTH, columns) * torch.exp(0.5 * normal(columns))
    X = X + 0.5 * normal(columns)
    if name == "zeros":
        W[2], W[:, 5], X[:, 7] = 0, 0, 0
    if name == "ties":
        W = torch.sign(W) * torch.tensor([0.25, 0.5])[(torch.arange(rows)[:, None] + torch.arange(columns)) % 2]
        X[:] = 1
    return W.contiguous(), (X * X).sum(0), X.sum(0)


def share(size: torch.Tensor, dim: int) -> torch.Tensor:
    total = size.sum(dim, keepdim=True)
    return torch.where(total == 0, 0, size / torch.where(total == 0, 1, total))


def score(criterion: str, W: torch.Tensor, square_sums: torch.Tensor) -> torch.Tensor:
    norms = torch.sqrt(square_sums / SEQUENCES)
    if criterion == "magnitude":
        return W.abs()
    if criterion == "wanda":
        return W.abs() * norms
    return (share(W.abs(), 0) + share(W.abs(), 1)) * norms**0.5


class Chooser:
    """Marks the first of stable sorts, and remembers the smallest relative gap that is not an exact tie."""

    def __init__(self) -> None:
        self.gap = math.inf

    def first(self, scores: torch.Tensor, k: int) -> torch.Tensor:
        ordered, order = torch.sort(scores.flatten(), stable=True)
        mask = torch.zeros(scores.numel(), dtype=torch.bool)
        mask[order[:k]] = True
        if 0 < k < len(ordered) and ordered[k] > ordered[k - 1]:
            self.gap = min(self.gap, ((ordered[k] - ordered[k - 1]) / ordered[k]).item())
        return mask.reshape(scores.shape)


def dsnot(W: torch.Tensor, square_sums: torch.Tensor, sums: torch.Tensor, mask: torch.Tensor, of: int | None) -> torch.Tensor:
    """arXiv 2310.08915: at most 50 swaps in each row of a mask, while the missing sum of its output is above 0.1.

    With `of`, each swap is inside a group of so many columns, and one that would turn the sign of that sum ends it.
    """
    mask = mask.clone()
    tokens = SEQUENCES * LENGTH
    variance = torch.maximum(square_sums / tokens - (sums / tokens) ** 2, 1e-6 * square_sums / tokens)
    effect = W * (sums / SEQUENCES)
    wanda = score("wanda", W, square_sums)
    for row in range(len(W)):
        prunable, prunable_effect = ~mask[row].clone(), effect[row]
        growable = mask[row].clone()
        first = torch.sign(effect[row][mask[row]].sum())
        for _ in range(50):
            error = effect[row][mask[row]].sum()
            if error.abs() <= 0.1:
                break
            sign = torch.sign(error)
            grow = torch.where(growable & (prunable_effect * sign > 0), prunable_effect * sign / variance, -math.inf)
            grown = grow.argmax()
            losable = prunable & (prunable_effect * sign < 0)
            if of:
                losable = prunable & (torch.arange(len(prunable)) // of == grown // of)
            lose = torch.where(losable, wanda[row], math.inf)
            lost = lose.argmin()
            if grow[grown] == -math.inf or lose[lost] == math.inf:
                break
            after = error + effect[row][lost] - effect[row][grown]
            if of and torch.sign(after) != first:
                break
            mask[row, grown], growable[grown] = False, False
            mask[row, lost], prunable[lost] = True, False
    return mask


def largest_remainder(count: int, widths: list[int]) -> list[int]:
    total = sum(widths)
    shares = [count * width // total for width in widths]
    order = sorted(range(len(widths)), key=lambda i: (-(count * widths[i] % total), i))
    for i in order[: count - sum(shares)]:
        shares[i] += 1
    return shares


def select(scores: torch.Tensor, pattern: str, rate: float, chooser: Chooser) -> torch.Tensor:
    rows, columns = scores.shape
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    if pattern == "matrix":
        return chooser.first(scores, math.floor(rows * columns * rate))
    if pattern == "row":
        for row in range(rows):
            mask[row] = chooser.first(scores[row], math.floor(columns * rate))
        return mask
    if pattern == "columns":
        edges = list(range(0, columns, PANEL)) + [columns]
        widths = [right - left for left, right in zip(edges, edges[1:])]
        for left, width, k in zip(edges, widths, largest_remainder(math.floor(rows * columns * rate), widths)):
            mask[:, left : left + width] = chooser.first(scores[:, left : left + width], k)
        return mask
    kept, of = map(int, pattern.split(":"))
    for row in range(rows):
        for left in range(0, columns, of):
            group = scores[row, left : left + of]
            mask[row, left : left + of] = chooser.first(group, len(group) * (of - kept) // of)
    return mask


def attempt(name: str, seed: int, rows: int, columns: int, rate: float) -> tuple[dict, dict] | None:
    W, square_sums, sums = make(name, seed, rows, columns)
    tensors, counts = {"W": W, "squareSums": square_sums, "sums": sums}, {}
    for criterion in ("magnitude", "wanda", "ria"):
        for pattern in ["row", "matrix", "columns"] + [f"{kept}:{of}" for kept, of in KEPT]:
            chooser = Chooser()
            mask = select(score(criterion, W, square_sums), pattern, rate, chooser)
            judge = select(score(criterion, W.double(), square_sums.double()), pattern, rate, Chooser())
            if chooser.gap < SMALLEST_GAP or not torch.equal(mask, judge):
                return None
            key = f"{criterion}.{pattern}"
            tensors[key] = torch.from_numpy(numpy.packbits(mask.numpy(), axis=1, bitorder="little"))
            counts[key] = mask.sum().item()
    # In float64, as ours is, and the same where the statistics are a little off, as float32 sums may be.
    doubles = [tensor.double() for tensor in (W, square_sums, sums)]
    swaps = {}
    for criterion, pattern in DSNOT:
        start = select(score(criterion.partition("-")[2] or "wanda", W, square_sums), pattern, rate, Chooser())
        of = int(pattern.split(":")[1]) if ":" in pattern else None
        mask = dsnot(*doubles, start, of)
        for off in (1 - 3e-7, 1 + 3e-7):
            if not torch.equal(mask, dsnot(doubles[0], doubles[1] * off, doubles[2] / off, start, of)):
                return None
        key = f"{criterion}.{pattern}"
        tensors[key] = torch.from_numpy(numpy.packbits(mask.numpy(), axis=1, bitorder="little"))
        counts[key], swaps[key] = mask.sum().item(), (mask & ~start).sum().item()
    return tensors, dict(seed=seed, sequences=SEQUENCES, length=LENGTH, swaps=swaps, counts=counts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the golden masks of the criteria.")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    tensors, facts = {}, {"torch": torch.__version__, "cases": {}}
    for name, (rows, columns, rate) in CASES.items():
        seed = 0
        while (found := attempt(name, seed, rows, columns, rate)) is None:
            seed += 1
        tensors |= {f"{name}.{key}": tensor for key, tensor in found[0].items()}
        facts["cases"][name] = found[1]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    save_file(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")
    print({name: case["seed"] for name, case in facts["cases"].items()})


if __name__ == "__main__":
    main()
