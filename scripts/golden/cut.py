"""Writes test/golden/cut.json: which slices go, and what the kept weights become, by numpy in float64; Taylor scores by PyTorch.

Everything here is done the slow way: greedy OBS solves the least squares on every set of slices that it could go to, and no
inverse is ever updated; a repair is one solve on the kept columns; a mean is fitted as one more input that is always 1.

  pip install numpy torch transformers && python scripts/golden/cut.py

cases    W [rows, columns] and X [tokens, columns]; slices of `width` columns, `count` of which go. `bias`: the linear has one.
         gone      by importance: the slices in the order in which they go (obs), or by rising score
         costs     of obs: the error after each slice minus the one before, the ridge's part included
         weights   by importance: least squares on the kept columns, with the ridge 0.01 * mean(diag G) towards W
         moved     what the bias takes over, where there is one
taylor   by linear of test/golden/families/llama: the sum of |w * gradient| of each channel and of each group of heads
"""

import json
import pathlib

import numpy as np
import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "test/golden/cut.json"
DAMPING = 0.01


def solve(W, G, mu, kept):
    """The least ||(W - Q) X||^2 + mu ||W - Q||^2 over Q on the kept columns, and that least."""
    A = G + mu * np.eye(len(G))
    Q = np.zeros_like(W)
    Q[:, kept] = np.linalg.solve(A[np.ix_(kept, kept)], A[kept] @ W.T).T
    D = W - Q
    return Q, np.trace(D @ A @ D.T)


def case(rng, rows, columns, width, tokens, count, bias):
    X = rng.normal(size=(tokens, columns)) @ (np.eye(columns) + 0.4 * rng.normal(size=(columns, columns)))
    X += 0.5 * rng.normal(size=columns)
    W = rng.normal(size=(rows, columns)) * np.exp(0.5 * rng.normal(size=columns))
    X, W = X.astype(np.float32).astype(np.float64), W.astype(np.float32).astype(np.float64)
    centred = X - X.mean(0) if bias else X
    G = centred.T @ centred
    mu = DAMPING * np.mean(np.diag(G))
    slices = [list(range(s * width, (s + 1) * width)) for s in range(columns // width)]

    def without(gone):
        return [c for s, own in enumerate(slices) if s not in gone for c in own]

    greedy, costs, error = [], [], 0.0
    for _ in range(count):
        tried = {s: solve(W, G, mu, without(greedy + [s]))[1] for s in range(len(slices)) if s not in greedy}
        best = min(tried, key=tried.get)
        greedy.append(best)
        costs.append(tried[best] - error)
        error = tried[best]
    norms = np.sqrt((X**2).sum(0))
    scores = {"wanda-sp": np.abs(W).sum(0) * norms, "flap": X.var(0) * (W**2).sum(0)}
    gone = {"obs": greedy}
    for name, columns_ in scores.items():
        of = np.array([columns_[own].sum() for own in slices])
        gone[name] = [int(s) for s in np.argsort(of, kind="stable")[:count]]
    weights = {name: solve(W, G, mu, without(some))[0] for name, some in gone.items()}
    made = {
        "rows": rows, "columns": columns, "width": width, "tokens": tokens, "count": count, "bias": bias,
        "W": W.ravel().tolist(), "X": X.ravel().tolist(), "gone": gone, "costs": costs,
        "weights": {name: Q.ravel().tolist() for name, Q in weights.items()},
    }  # fmt: skip
    if bias:
        made["moved"] = {name: ((W - Q) @ X.mean(0)).tolist() for name, Q in weights.items()}
    return made


def taylor():
    model = AutoModelForCausalLM.from_pretrained(ROOT / "test/golden/families/llama", dtype=torch.float64)
    windows, length = 3, 16
    ids = torch.tensor([[(7 + 31 * w + 5 * t) % model.config.vocab_size for t in range(length)] for w in range(windows)])
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    found = {}
    for i, layer in enumerate(model.model.layers):
        mlp, attention = layer.mlp, layer.self_attn
        element = lambda linear: (linear.weight * linear.weight.grad).abs()
        channels = element(mlp.gate_proj).sum(1) + element(mlp.up_proj).sum(1) + element(mlp.down_proj).sum(0)
        found[f"model.layers.{i}.mlp.down_proj"] = channels.tolist()
        K = model.config.num_key_value_heads
        rows = lambda linear: element(linear).sum(1).reshape(K, -1).sum(1)
        heads = rows(attention.q_proj) + rows(attention.k_proj) + rows(attention.v_proj)
        heads = heads + element(attention.o_proj).sum(0).reshape(K, -1).sum(1)
        found[f"model.layers.{i}.self_attn.o_proj"] = heads.tolist()
    return {"windows": windows, "length": length, "loss": loss.item(), "scores": found}


def main():
    rng = np.random.default_rng(11)
    cases = [
        case(rng, 5, 12, 1, 60, 5, False),
        case(rng, 7, 12, 3, 60, 2, False),
        case(rng, 6, 10, 1, 80, 4, True),
        case(rng, 9, 16, 4, 90, 3, True),
    ]
    OUT.write_text(json.dumps({"cases": cases, "taylor": taylor()}) + "\n")


if __name__ == "__main__":
    main()
