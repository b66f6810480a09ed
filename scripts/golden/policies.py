"""Writes test/golden/policies.json: measures and rates of the published allocation policies, from their equations in numpy.

Nothing here is how src/plan and src/profile do it: budgets are found by bisection, ALS's linear program by looking at every
vertex of its box, spectra by LAPACK, thresholds by sorting. Weights, norms and activations come from a linear congruential
generator that test/profile/golden.ts repeats to the bit, so the file holds results only.

  pip install numpy && python scripts/golden/policies.py
"""

import itertools
import json
import math
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parents[2] / "test/golden/policies.json"
TARGET = 0.6
# Linears [rows, columns] of each block: grouped-query attention, and a third block that is wider.
SHAPES = [
    [(12, 12), (6, 12), (6, 12), (12, 12), (20, 12), (20, 12), (12, 20)],
    [(12, 12), (6, 12), (6, 12), (12, 12), (20, 12), (20, 12), (12, 20)],
    [(12, 12), (6, 12), (6, 12), (12, 12), (28, 12), (28, 12), (12, 28)],
]


class Numbers:
    """Whole numbers in [-1000, 1000], scaled and cubed so that their tails are heavy."""

    def __init__(self, seed: int):
        self.state = seed

    def next(self) -> float:
        self.state = (1103515245 * self.state + 12345) % 2**31
        return ((self.state >> 8) % 2001 - 1000) / 1000

    def array(self, *shape: int) -> np.ndarray:
        values = [self.next() for _ in range(math.prod(shape))]
        return np.array([v * v * v for v in values], dtype=np.float32).reshape(shape)


def bisect(total, of) -> float:
    low, high = 0.0, 1.0
    while of(high) < total:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < total else (low, middle)
    return high


def hill(eigenvalues: np.ndarray) -> float:
    logs = np.log(np.sort(eigenvalues[eigenvalues > 1e-12 * eigenvalues.max()]))
    counts, edges = np.histogram(logs / np.log(10), bins=100)
    latest = 1.5 * 10 ** edges[np.argmax(counts)]
    found = []
    for i in range(len(logs) - 1):
        tail = logs[i:]
        if np.exp(tail[0]) > latest:
            break
        k = len(tail)
        alpha = 1 + k / np.sum(tail - tail[0])
        model = 1 - np.exp(tail - tail[0]) ** (1 - alpha)
        found.append((np.max(np.abs(model - np.arange(k) / k)), alpha))
    return min(found, key=lambda pair: pair[0])[1]


def shift(importance: np.ndarray, width: float) -> np.ndarray:
    d = width * (importance - importance.min()) / (importance.max() - importance.min())
    return TARGET - d + d.mean()


def redundancy(inputs: list[np.ndarray]) -> np.ndarray:
    def product(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a.T @ b) ** 2)

    norms = [math.sqrt(product(x, x)) for x in inputs]
    return np.array([[product(a, b) / (na * nb) for b, nb in zip(inputs, norms)] for a, na in zip(inputs, norms)])


def solve_als(psi: np.ndarray, sizes: np.ndarray, target: float, low: float, high: float) -> np.ndarray:
    if not low < target < high:
        return np.full(len(sizes), target)
    omega = np.exp(-(psi.sum(1) - 1) / psi.mean())
    c = np.array([omega[i:].mean() for i in range(len(omega))])
    kept = (1 - target) * sizes.sum()
    best = None
    for free in range(len(sizes)):
        others = [i for i in range(len(sizes)) if i != free]
        for corner in itertools.product([1 - high, 1 - low], repeat=len(others)):
            q = np.zeros(len(sizes))
            q[others] = corner
            q[free] = (kept - (sizes * q).sum()) / sizes[free]
            if 1 - high - 1e-12 <= q[free] <= 1 - low + 1e-12 and (best is None or c @ q > best[0]):
                best = (c @ q, q)
    return 1 - best[1]


def main() -> None:
    numbers = Numbers(7)
    flat = [shape for block in SHAPES for shape in block]
    W = [[numbers.array(*shape) for shape in block] for block in SHAPES]
    norms = [[np.abs(numbers.array(columns)) for _, columns in block] for block in SHAPES]
    scores = [[np.abs(w) * n for w, n in zip(ws, ns)] for ws, ns in zip(W, norms)]
    sizes = np.array([rows * columns for rows, columns in flat], dtype=float)
    block_sizes = np.array([sum(r * c for r, c in block) for block in SHAPES], dtype=float)

    together = [np.concatenate([a.ravel() for a in block]).astype(np.float64) for block in scores]
    outliers = {M: [float((a > M * a.mean()).mean()) for a in together] for M in (3, 5, 7, 10)}
    moments = [
        {
            "mean": float(a.mean()),
            "median": float(np.sort(a)[(len(a) - 1) // 2]),
            "logVariance": float(np.log(a[a > 0]).var()),
        }
        for a in together
    ]
    lamp = []
    for w in itertools.chain(*W):
        squares = np.sort(w.ravel().astype(np.float64) ** 2)
        lamp.append(squares / np.cumsum(squares[::-1])[::-1])
    spectra = [np.linalg.eigvalsh(w.astype(np.float64) @ w.T.astype(np.float64)) for w in itertools.chain(*W)]
    spectra = [s if w.shape[0] <= w.shape[1] else np.sort(s)[-w.shape[1] :] for s, w in zip(spectra, itertools.chain(*W))]
    alpha = [float(hill(s)) for s in spectra]
    wide = Numbers(11).array(48, 200).astype(np.float64)
    spectrum = np.linalg.eigvalsh(wide @ wide.T)
    tokens = 40
    inputs = [numbers.array(tokens, width) for width in (12, 12, 20)]
    psi = redundancy([x.astype(np.float64) for x in inputs])

    def by_threshold(per_linear: list[np.ndarray]) -> list[float]:
        everything = np.sort(np.concatenate([np.ravel(a) for a in per_linear]))
        threshold = everything[round(TARGET * len(everything))]
        return [float((a < threshold).mean()) for a in per_linear]

    sums = np.array([rows + columns for rows, columns in flat], dtype=float)

    def er(kept: float, index: list[int]) -> np.ndarray:
        factor = bisect(kept, lambda t: np.minimum(sizes[index], t * sums[index]).sum())
        return np.minimum(sizes[index], factor * sums[index])

    kept = (1 - TARGET) * sizes.sum()
    er_plus = np.append(er(kept - sizes[-1], list(range(len(flat) - 1))), sizes[-1])
    per_block = np.array(alpha).reshape(len(SHAPES), -1).mean(1)
    unit = (per_block - per_block.min()) / (per_block.max() - per_block.min())

    def alphapruning(target: float, epsilon: float) -> list[float]:
        r = 1 - epsilon + 2 * epsilon * unit
        factor = bisect(target * block_sizes.sum(), lambda t: (block_sizes * np.minimum(1, t * r)).sum())
        return np.minimum(1, factor * r).tolist()

    gradient = np.abs([numbers.next() for _ in flat])
    group = gradient.reshape(len(SHAPES), -1).sum(1)
    largest = TARGET + 0.1
    rest = (block_sizes * (largest - TARGET)).sum()
    factor = bisect(rest, lambda t: np.minimum(block_sizes * largest, t * group).sum())
    ecoflap = largest - np.minimum(block_sizes * largest, factor * group) / block_sizes

    def dsa(x: np.ndarray) -> list[float]:
        return shift(1 - (x - x.min()) / (x.max() - x.min()), 0.16).tolist()

    als_blocks = solve_als(psi, block_sizes, TARGET, 0.3, 0.7)
    inner = redundancy([numbers.array(tokens, width).astype(np.float64) for _, width in SHAPES[0]])
    als = []
    for block, rate in enumerate(als_blocks):
        own = np.array([r * c for r, c in SHAPES[block]], dtype=float)
        als += solve_als(inner, own, float(rate), 0.3, 0.7).tolist()

    golden = {
        "target": TARGET,
        "shapes": SHAPES,
        "tokens": tokens,
        "measured": {
            "outliers": outliers,
            "scoreMoments": moments,
            "lamp": [a[:: max(1, len(a) // 6)].tolist() for a in lamp],
            "alpha": alpha,
            "redundancy": {"blocks": psi.tolist(), "linears": [inner.tolist()] * len(SHAPES)},
            "gradient": gradient.tolist(),
        },
        "spectrum": {"eigenvalues": spectrum.tolist(), "alpha": float(hill(spectrum))},
        # Raw rates: per block or per linear.
        "rates": {
            "owl": shift(np.array(outliers[5]), 0.16).tolist(),
            "dlp": shift(1 - np.array([m["median"] for m in moments]) / sum(m["median"] for m in moments), 0.3).tolist(),
            "dlpMean": shift(1 - np.array([m["mean"] for m in moments]) / sum(m["mean"] for m in moments), 0.3).tolist(),
            # Of variances inside the domain of asin(atan v), and of these scores', which are beyond it.
            "dsa": dsa(np.arcsin(np.arctan(np.array([0.8, 1.5, 1.2])))),
            "dsaBeyond": dsa(np.array([m["logVariance"] for m in moments])),
            "alphapruning": alphapruning(TARGET, 0.3),
            "alphapruningCapped": alphapruning(0.9, 0.3),
            "ecoflap": ecoflap.tolist(),
            "als": als,
            "er": (1 - er(kept, list(range(len(flat)))) / sizes).tolist(),
            "er-plus": (1 - er_plus / sizes).tolist(),
            "lamp": by_threshold(lamp),
            "global": by_threshold([a for block in scores for a in block]),
        },
    }
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
