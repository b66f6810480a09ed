"""Writes test/golden/sparsegpt: masks and updated weights of SparseGPT in PyTorch, written from the paper's equations.

Column by column as arXiv 2301.00774 describes it, with the factor taken the long way: cholesky(H), cholesky_inverse, and
cholesky of that, upper. Exactly k weights go per block of 128 columns: the first k of a stable sort of w^2 / U_jj^2 in
row-major order; a linear's count is spread over its blocks by largest remainder.

  pip install torch safetensors && python scripts/golden/sparsegpt.py

golden.safetensors  for each <case>, all float32 unless said:
                    <case>.W        [rows, columns]
                    <case>.gram     sum over tokens of x x^T, its upper triangle row by row, [columns (columns + 1) / 2]
                    <case>.mask     U8 [rows, columns], 1 = pruned
                    <case>.weights  [rows, columns], after the sweep
golden.json         of each case its pattern, sequences, dead columns, and how far float32 is from float64

Cases: `square` (two blocks, uneven), `dead` (three columns no token reaches), `wide` (fewer rows than columns), `two-four`
(2 of every 4 columns), `three-five` (3 of every 5: groups that do not fill 128 columns; our panels are of 125).
The seed of a case is the first for which float64 gives the same mask and no kept score lies within 1e-4 (relative) of the
one that was pruned last, so that another fp32 implementation can be asked for the same bits. The weights are float32's,
and at most 2e-5 of the largest weight from float64's.
"""

import argparse
import json
import math
import pathlib
import shutil

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/sparsegpt"
BLOCK = 128
DAMPING = 0.01
SMALLEST_GAP = 1e-4
CASES = {
    # name: rows, columns, pattern, dead columns
    "square": (40, 136, {"kind": "panels", "count": 2721}, []),
    "dead": (24, 64, {"kind": "panels", "count": 921}, [0, 7, 63]),
    "wide": (7, 150, {"kind": "panels", "count": 630}, []),
    "two-four": (12, 132, {"kind": "n:m", "n": 2, "m": 4}, []),
    "three-five": (6, 130, {"kind": "n:m", "n": 3, "m": 5}, [129]),
}


def make(seed: int, rows: int, columns: int, dead: list[int]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """W, the Gram matrix of correlated inputs whose columns differ in scale, and the number of sequences."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    sequences, length = 8, columns // 2
    X = normal(sequences * length, columns // 4) @ normal(columns // 4, columns) / math.sqrt(columns / 4)
    X = (X + 0.5 * normal(sequences * length, columns)) * torch.exp(0.5 * normal(columns))
    X[:, dead] = 0
    W = normal(rows, columns) * torch.exp(0.4 * normal(rows, 1)) / math.sqrt(columns)
    return W, X.T @ X, sequences


def upper_factor(gram: torch.Tensor, sequences: int) -> tuple[torch.Tensor, torch.Tensor]:
    H = 2 / sequences * gram
    dead = torch.diag(H) == 0
    H[dead, dead] = 1
    H += DAMPING * torch.diag(H).mean() * torch.eye(len(H), dtype=H.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(H))
    return torch.linalg.cholesky(inverse, upper=True), dead


def spread(count: int, widths: list[int]) -> list[int]:
    """`count` in proportion to the widths, by largest remainder, ties to the left."""
    columns = sum(widths)
    shares = [count * width // columns for width in widths]
    order = sorted(range(len(widths)), key=lambda i: (-(count * widths[i] % columns), i))
    for i in order[: count - sum(shares)]:
        shares[i] += 1
    return shares


def first_of_sort(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, float]:
    """Marks the k first of a stable sort of each row, and the smallest relative gap between last pruned and first kept."""
    ordered, order = torch.sort(scores, dim=1, stable=True)
    mask = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order[:, :k], True)
    if not 0 < k < scores.shape[1]:
        return mask, math.inf
    return mask, ((ordered[:, k] - ordered[:, k - 1]) / ordered[:, k]).min().item()


def sparsegpt(W: torch.Tensor, gram: torch.Tensor, sequences: int, pattern: dict) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Updated weights, mask, and the smallest gap."""
    W = W.clone()
    rows, columns = W.shape
    U, dead = upper_factor(gram.clone(), sequences)
    W[:, dead] = 0
    pivots = torch.diag(U)
    edges = list(range(0, columns, BLOCK)) + [columns]
    blocks = list(zip(edges, edges[1:]))
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    smallest = math.inf
    counts = spread(pattern["count"], [right - left for left, right in blocks]) if pattern["kind"] == "panels" else None
    for index, (left, right) in enumerate(blocks):
        if counts:
            scores = W[:, left:right] ** 2 / pivots[left:right] ** 2
            chosen, gap = first_of_sort(scores.reshape(1, -1), counts[index])
            mask[:, left:right] = chosen.reshape(rows, -1)
            smallest = min(smallest, gap)
        for j in range(left, right):
            # A group may reach over the edge of a block of 128; its weights are all updated as far as column j, since
            # here every error is carried to all columns at once.
            if pattern["kind"] == "n:m" and j % pattern["m"] == 0:
                group = slice(j, j + pattern["m"])
                mask[:, group], gap = first_of_sort(W[:, group] ** 2 / pivots[group] ** 2, pattern["n"])
                smallest = min(smallest, gap)
            error = torch.where(mask[:, j], W[:, j] / pivots[j], 0)
            W[:, j:] -= error[:, None] * U[j, None, j:]
            W[mask[:, j], j] = 0
    return W, mask, smallest


def attempt(seed: int, rows: int, columns: int, pattern: dict, dead: list[int]) -> tuple[dict, dict] | None:
    W, gram, sequences = make(seed, rows, columns, dead)
    gram = torch.triu(gram) + torch.triu(gram, 1).T
    weights, mask, gap = sparsegpt(W, gram, sequences, pattern)
    judged, judge, _ = sparsegpt(W.double(), gram.double(), sequences, pattern)
    difference = ((weights - judged).abs().max() / judged.abs().max()).item()
    if gap < SMALLEST_GAP or difference > 2e-5 or not torch.equal(mask, judge):
        return None
    rows_of, columns_of = torch.triu_indices(columns, columns)
    tensors = {"W": W, "gram": gram[rows_of, columns_of], "mask": mask.to(torch.uint8), "weights": weights}
    facts = dict(seed=seed, pattern=pattern, sequences=sequences, dead=dead, damping=DAMPING)
    return tensors, facts | dict(pruned=mask.sum().item(), smallestGap=gap, fromFloat64=difference)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the golden values of SparseGPT.")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    tensors, facts = {}, {"torch": torch.__version__, "cases": {}}
    for name, (rows, columns, pattern, dead) in CASES.items():
        seed = 0
        while (found := attempt(seed, rows, columns, pattern, dead)) is None:
            seed += 1
        tensors |= {f"{name}.{key}": tensor.contiguous() for key, tensor in found[0].items()}
        facts["cases"][name] = found[1]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    save_file(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
