"""Writes test/golden/gptq: weights of GPTQ, and of GPTQ with zeros in the same sweep, in numpy float64, from the equations.

Column by column as arXiv 2210.17323 and 2301.00774 describe it, every error carried to all columns at once, with the factor
taken the long way: invert H, then U upper with inv(H) = U^T U. The scales are searched again here, so that a
mistake in the search of the library shows too: a candidate is the share f of max|w| / 2^(b-1) with either sign, f from
2^(b-1) / (2^(b-1) - 1) down to 0.4, 0.55 or 0.65 (2, 3, 4 bits) in 16 equal steps, rounded to float16; then three times the
least-squares scale of the codes; the first smallest sum of (w - scale q)^2 / U_jj^2 wins. 8 bits: max|w| / 127 of the row,
float32.

  pip install numpy && python scripts/golden/gptq.py

golden.safetensors  for each <case>, float32 unless said:
                    <case>.W        [rows, columns]
                    <case>.gram     sum over tokens of x x^T, its upper triangle row by row
                    <case>.scales   [rows, groups]
                    <case>.q        I8 [rows, columns]
                    <case>.mask     U8 [rows, columns], 1 = pruned; all 0 without zeros
golden.json         of each case bits, group, pattern, sequences, dead columns, damping

A case's seed is the first for which no decision is close: no quotient within 2e-3 of a half (inside the limits), no pruned
score within 1e-4 of a kept one, no two candidates for a scale whose losses differ by less than 1e-5 of them, and no scale
within 1e-5 of another float16 number's half. So a float32 implementation can be asked for the same integers.
"""

import argparse
import json
import math
import pathlib
import shutil
import struct

import numpy as np

OUT = pathlib.Path(__file__).parents[2] / "test/golden/gptq"
DAMPING = 0.01
PANEL = 128
SMALLEST = {2: 0.4, 3: 0.55, 4: 0.65}
CASES = {
    # name: rows, columns, bits, group, pattern (None: no zeros), dead columns
    "three": (6, 160, 3, 128, None, []),
    "two": (6, 96, 2, 32, None, [5]),
    "four": (5, 200, 4, 64, None, []),
    "row": (5, 150, 3, 150, None, []),
    "eight": (5, 140, 8, 140, None, []),
    "joint": (6, 160, 3, 32, {"kind": "columns", "count": 480}, []),
    "joint-two-four": (6, 160, 4, 128, {"kind": "n:m", "n": 2, "m": 4}, [7]),
}


class Close(Exception):
    """A decision is too close to be asked of a float32 implementation."""


def make(seed: int, rows: int, columns: int, dead: list[int]) -> tuple[np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(seed)
    sequences, length = 8, columns // 2
    X = rng.standard_normal((sequences * length, columns // 4)) @ rng.standard_normal((columns // 4, columns))
    X = X / math.sqrt(columns / 4) + 0.5 * rng.standard_normal(X.shape)
    X *= np.exp(0.5 * rng.standard_normal(columns))
    X[:, dead] = 0
    W = rng.standard_normal((rows, columns)) * np.exp(0.4 * rng.standard_normal((rows, 1))) / math.sqrt(columns)
    return W.astype(np.float32), (X.T @ X).astype(np.float32), sequences


def upper_factor(gram: np.ndarray, sequences: int) -> tuple[np.ndarray, np.ndarray]:
    H = 2 / sequences * gram.astype(np.float64)
    dead = np.diag(H) == 0
    H[dead, dead] = 1
    H += DAMPING * np.diag(H).mean() * np.eye(len(H))
    lower = np.linalg.cholesky(np.linalg.inv(H))
    return lower.T, dead  # inv(H) = L L^T = U^T U


def codes(w: np.ndarray, scale: float, low: int, high: int) -> np.ndarray:
    return np.clip(np.rint(w / scale), low, high) if scale else np.zeros_like(w)


def half(x: float) -> float:
    return float(np.float16(np.float32(x)))


def scale_of(w: np.ndarray, importance: np.ndarray, bits: int) -> float:
    high = 2 ** (bits - 1) - 1
    low = -high - 1 if bits <= 4 else -high
    importance = importance[w != 0]
    w = w[w != 0]
    largest = np.abs(w).max() if len(w) else 0
    if largest == 0:
        return 0.0
    if bits > 4:
        return float(np.float32(largest / high))

    def loss(scale: float) -> float:
        return float((importance * (w - scale * codes(w, scale, low, high)) ** 2).sum())

    tried: dict[float, float] = {}
    exact: dict[float, float] = {}  # before rounding
    first = -low / high
    for step in range(16):
        size = (first + (SMALLEST[bits] - first) * step / 15) * largest / -low
        for scale in (half(size), -half(size)):
            if scale:
                tried.setdefault(scale, loss(scale))
                exact.setdefault(scale, math.copysign(size, scale))
    # The best of the search, and least squares from it.
    scale = best = min(tried, key=tried.get)
    for _ in range(3):
        q = codes(w, scale, low, high)
        if not (q**2).sum():
            break
        fitted = (importance * w * q).sum() / (importance * q**2).sum()
        new = half(fitted)
        exact.setdefault(new, fitted)
        if new == scale:
            break
        tried.setdefault(new, loss(new))
        scale = new
        if tried[new] < tried[best]:
            best = new
    ordered = sorted(tried.values())
    if len(ordered) > 1 and ordered[1] - ordered[0] < 1e-5 * ordered[1]:
        raise Close
    if half(exact[best] * (1 - 1e-5)) != half(exact[best] * (1 + 1e-5)):
        raise Close
    return best


def first_of_sort(scores: np.ndarray, k: int) -> np.ndarray:
    """Marks the k first of a stable sort of each row."""
    order = np.argsort(scores, axis=1, kind="stable")
    mask = np.zeros(scores.shape, bool)
    np.put_along_axis(mask, order[:, :k], True, axis=1)
    if 0 < k < scores.shape[1]:
        ordered = np.take_along_axis(scores, order, axis=1)
        if ((ordered[:, k] - ordered[:, k - 1]) / ordered[:, k]).min() < 1e-4:
            raise Close
    return mask


def spread(count: int, widths: list[int]) -> list[int]:
    columns = sum(widths)
    shares = [count * width // columns for width in widths]
    order = sorted(range(len(widths)), key=lambda i: (-(count * widths[i] % columns), i))
    for i in order[: count - sum(shares)]:
        shares[i] += 1
    return shares


def gptq(W, gram, sequences, bits, group, pattern):
    W = W.astype(np.float64)
    rows, columns = W.shape
    U, dead = upper_factor(gram, sequences)
    W[:, dead] = 0
    pivots = np.diag(U)
    high = 2 ** (bits - 1) - 1
    low = -high - 1 if bits <= 4 else -high
    mask = np.zeros((rows, columns), bool) if pattern else W == 0
    edges = list(range(0, columns, PANEL)) + [columns]
    widths = [right - left for left, right in zip(edges, edges[1:])]
    counts = spread(pattern["count"], widths) if pattern and pattern["kind"] == "columns" else None
    scales = np.zeros((rows, -(-columns // group)))
    q = np.zeros((rows, columns))
    for j in range(columns):
        if counts and j % PANEL == 0:
            panel = slice(j, j + PANEL)
            scores = W[:, panel] ** 2 / pivots[panel] ** 2
            mask[:, panel] = first_of_sort(scores.reshape(1, -1), counts[j // PANEL]).reshape(rows, -1)
        if j % group == 0:
            part = slice(j, j + group)
            gone = mask[:, part]
            if pattern and pattern["kind"] == "n:m":
                # The scale leaves out what n:m would prune if the sweep changed nothing inside the group.
                m = pattern["m"]
                score = W[:, part] ** 2 / pivots[part] ** 2
                gone = first_of_sort(score.reshape(-1, m), pattern["n"]).reshape(score.shape)
            for row in range(rows):
                scales[row, j // group] = scale_of(np.where(gone[row], 0, W[row, part]), pivots[part] ** -2.0, bits)
        if pattern and pattern["kind"] == "n:m" and j % pattern["m"] == 0:
            some = slice(j, j + pattern["m"])
            mask[:, some] = first_of_sort(W[:, some] ** 2 / pivots[some] ** 2, pattern["n"])
        s = scales[:, j // group]
        x = np.divide(W[:, j], s, out=np.zeros(rows), where=s != 0)
        inside = ~mask[:, j] & (x > low - 0.5) & (x < high + 0.5)
        if (np.abs(np.abs(x - np.rint(x)) - 0.5)[inside] < 2e-3).any():
            raise Close
        q[:, j] = np.where(mask[:, j], 0, np.clip(np.rint(x), low, high))
        error = (W[:, j] - s * q[:, j]) / pivots[j]
        W[:, j:] -= error[:, None] * U[j, None, j:]
    return scales, q, mask


def attempt(seed, rows, columns, bits, group, pattern, dead):
    W, gram, sequences = make(seed, rows, columns, dead)
    gram = np.triu(gram) + np.triu(gram, 1).T
    try:
        scales, q, mask = gptq(W, gram, sequences, bits, group, pattern)
    except Close:
        return None
    tensors = {
        "W": W,
        "gram": gram[np.triu_indices(columns)],
        "scales": scales.astype(np.float32),
        "q": q.astype(np.int8),
        "mask": mask.astype(np.uint8) if pattern else np.zeros(mask.shape, np.uint8),
    }
    facts = dict(seed=seed, bits=bits, group=group, pattern=pattern, sequences=sequences, dead=dead, damping=DAMPING)
    return tensors, facts


def save(tensors: dict[str, np.ndarray], path: pathlib.Path) -> None:
    names = {np.dtype(np.float32): "F32", np.dtype(np.int8): "I8", np.dtype(np.uint8): "U8"}
    header, data = {}, b""
    for name, tensor in sorted(tensors.items(), key=lambda one: -one[1].itemsize):
        raw = np.ascontiguousarray(tensor).tobytes()
        header[name] = dict(dtype=names[tensor.dtype], shape=list(tensor.shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the golden values of GPTQ.")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    tensors, facts = {}, {"numpy": np.__version__, "cases": {}}
    for name, case in CASES.items():
        seed = 0
        while (found := attempt(seed, *case)) is None:
            seed += 1
        tensors |= {f"{name}.{key}": tensor for key, tensor in found[0].items()}
        facts["cases"][name] = found[1]
        print(name, seed, flush=True)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    save(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
