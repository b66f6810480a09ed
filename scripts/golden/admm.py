"""Writes test/golden/admm: masks and weights of the ADMM update (arXiv 2401.02938) in numpy, float64, from its equations.

Per linear W [rows, columns] with Gram matrix G: D = diag(sqrt(G_jj) + 1e-8); H = D^-1 G D^-1 + 0.1 mean(diag) I; twenty turns
of Z, U, W with rho = 1, solved (not inverted) in each; the mask from |W + U| in the first 15, its share S (1 - (1 - t / 15)^3).

  pip install numpy safetensors && python scripts/golden/admm.py

golden.safetensors  for each <case>: W F32 [rows, columns]; gram F32, its upper triangle row by row; mask U8; weights F32
golden.json         of each case its pattern, how many weights go, and the smallest relative gap between a score that goes and
                    one that stays, of all turns; the seed of a case is the first whose gap is above 1e-5, so that float32 can
                    be asked for the same mask
"""

import json
import math
import pathlib
import shutil

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/admm"
SMALLEST_GAP = 1e-5
# name: rows, columns, pattern, weights that go (n:m: n of every m), dead columns
CASES = {
    "matrix": (12, 40, "matrix", 250, []),
    "row": (9, 36, "row", 9 * 20, []),
    "two-four": (8, 24, "2:4", 2, []),
    "three-eight": (6, 28, "5:8", 3, [3, 20]),
}


def make(seed: int, rows: int, columns: int, dead: list[int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((3 * columns, columns // 4)) @ rng.standard_normal((columns // 4, columns)) / math.sqrt(columns / 4)
    X = (X + 0.5 * rng.standard_normal(X.shape)) * np.exp(0.5 * rng.standard_normal(columns))
    X[:, dead] = 0
    W = rng.standard_normal((rows, columns)) * np.exp(0.4 * rng.standard_normal((rows, 1))) / math.sqrt(columns)
    gram = (X.T @ X).astype(np.float32)
    return W.astype(np.float32), np.triu(gram) + np.triu(gram, 1).T


def first_of_sort(scores: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    order = np.argsort(scores, kind="stable")
    gone = np.zeros(len(scores), dtype=bool)
    gone[order[:k]] = True
    if not 0 < k < len(scores):
        return gone, math.inf
    kept, last = scores[order[k]], scores[order[k - 1]]
    return gone, (kept - last) / kept


def choose(scores: np.ndarray, pattern: str, count: int, share: float) -> tuple[np.ndarray, float]:
    rows, columns = scores.shape
    if pattern == "matrix":
        gone, gap = first_of_sort(scores.ravel(), math.floor(share * count + 0.5))
        return gone.reshape(scores.shape), gap
    width = columns if pattern == "row" else int(pattern.split(":")[1])
    gone, smallest, spare = np.zeros(scores.shape, dtype=bool), math.inf, []
    if pattern == "row":
        each, extra = divmod(math.floor(share * count + 0.5), rows)
    for row in range(rows):
        for left in range(0, columns, width):
            group = scores[row, left : left + width]
            k = each if pattern == "row" else math.floor(share * count + 0.5) * len(group) // width
            gone[row, left : left + width], gap = first_of_sort(group, k)
            smallest = min(smallest, gap)
            if pattern == "row":
                spare.append(np.sort(group)[k] if k < width else math.inf)
    if pattern == "row":
        # What does not divide goes, one each, from the rows whose next score is smallest.
        chosen, gap = first_of_sort(np.array(spare), extra)
        smallest = min(smallest, gap)
        for row in np.flatnonzero(chosen):
            gone[row, np.flatnonzero(scores[row] == spare[row])[0]] = True
    return gone, smallest


def admm(W: np.ndarray, gram: np.ndarray, pattern: str, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    d = np.sqrt(np.diag(gram)) + 1e-8
    H = gram / np.outer(d, d)
    H += 0.1 * np.diag(H).mean() * np.eye(len(d))
    dense = W * d
    current, U, smallest = dense, np.zeros_like(dense), math.inf
    for turn in range(1, 21):
        if turn <= 15:
            gone, gap = choose(np.abs(current + U), pattern, count, 1 - (1 - turn / 15) ** 3)
            smallest = min(smallest, gap)
        Z = np.where(gone, 0, current + U)
        U = U + current - Z
        current = np.linalg.solve(H + np.eye(len(d)), (dense @ H + Z - U).T).T
    return np.where(gone, 0, current + U) / d, gone, smallest


def main() -> None:
    tensors, facts = {}, {}
    for name, (rows, columns, pattern, count, dead) in CASES.items():
        seed = 0
        while True:
            W, gram = make(seed, rows, columns, dead)
            weights, gone, gap = admm(W.astype(np.float64), gram.astype(np.float64), pattern, count)
            if gap >= SMALLEST_GAP:
                break
            seed += 1
        tensors |= {
            f"{name}.W": W,
            f"{name}.gram": gram[np.triu_indices(columns)],
            f"{name}.mask": gone.astype(np.uint8),
            f"{name}.weights": weights.astype(np.float32),
        }
        facts[name] = dict(seed=seed, pattern=pattern, pruned=int(gone.sum()), smallestGap=gap)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    save_file(tensors, OUT / "golden.safetensors")
    (OUT / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(facts)


if __name__ == "__main__":
    main()
