"""Writes test/golden/fidelity.json: how far an edited demo checkpoint is from the original, in numpy and float64.

The edit is easy to make again: in every block, columns 0, 3, 6, … of down_proj become zero, and the weights of o_proj whose
row and column add up to an even number. The windows are the first ones of the demo's test text, one after the other.

  npm run build:scripts
  node -e "import('./build/scripts/demo/texts.js').then((m) => process.stdout.write(m.TEXTS.test()))" > /tmp/test.txt
  pip install numpy safetensors tokenizers && python scripts/golden/fidelity.py /tmp/test.txt

divergence  by window: the mean KL(dense || edited) over its scored tokens, nats
tail        the smallest value that at most 1 in 1,000 of all tokens exceeds (numpy's inverted_cdf)
agreement   by window: the share of tokens with the same likeliest token
nll         by window: the edited model's mean loss
"""

import argparse
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "test/golden/fidelity.json"
LENGTH = 128


def norm(x, scale, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * scale


def rotate(x, theta):
    """x [heads, T, d]: halves are rotated against each other, as in LLaMA."""
    d = x.shape[-1]
    angles = np.arange(x.shape[1])[:, None] * theta ** (-np.arange(0, d, 2) / d)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def log_probabilities(weights, config, tokens):
    eps, d = config["rms_norm_eps"], config["head_dim"]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    theta = config["rope_parameters"]["rope_theta"]
    T = len(tokens)
    mask = np.triu(np.full((T, T), -np.inf), 1)
    x = weights["model.embed_tokens.weight"][tokens]
    for block in range(config["num_hidden_layers"]):
        w = {name.split(f"layers.{block}.")[1]: value for name, value in weights.items() if f"layers.{block}." in name}
        h = norm(x, w["input_layernorm.weight"], eps)
        split = lambda name, n: (h @ w[f"self_attn.{name}.weight"].T).reshape(T, n, d).transpose(1, 0, 2)
        q, k, v = rotate(split("q_proj", heads), theta), rotate(split("k_proj", kv), theta), split("v_proj", kv)
        k, v = np.repeat(k, heads // kv, 0), np.repeat(v, heads // kv, 0)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(d) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        read = (scores / scores.sum(-1, keepdims=True)) @ v
        x = x + read.transpose(1, 0, 2).reshape(T, heads * d) @ w["self_attn.o_proj.weight"].T
        h = norm(x, w["post_attention_layernorm.weight"], eps)
        gate = h @ w["mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["mlp.up_proj.weight"].T)) @ w["mlp.down_proj.weight"].T
    logits = norm(x, weights["model.norm.weight"], eps) @ weights["model.embed_tokens.weight"].T
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def edit(name, weight):
    weight = weight.copy()
    if "down_proj" in name:
        weight[:, ::3] = 0
    if "o_proj" in name:
        weight[np.add.outer(np.arange(weight.shape[0]), np.arange(weight.shape[1])) % 2 == 0] = 0
    return weight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=9)
    args = parser.parse_args()
    checkpoint = ROOT / "demo/model"
    config = json.loads((checkpoint / "config.json").read_text())
    dense = {name: w.astype(np.float64) for name, w in load_file(checkpoint / "model.safetensors").items()}
    edited = {name: edit(name, weight) for name, weight in dense.items()}
    ids = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(args.text.read_text()).ids
    divergences, golden = [], {"divergence": [], "agreement": [], "nll": []}
    for window in range(args.windows):
        tokens = np.array(ids[window * LENGTH : (window + 1) * LENGTH])
        q, p = (log_probabilities(weights, config, tokens)[:-1] for weights in (dense, edited))
        divergence = (np.exp(q) * (q - p)).sum(-1)
        divergences.append(divergence)
        golden["divergence"].append(divergence.mean())
        golden["agreement"].append(float((q.argmax(-1) == p.argmax(-1)).mean()))
        golden["nll"].append(-p[np.arange(LENGTH - 1), tokens[1:]].mean())
    golden |= {
        "tail": np.quantile(np.concatenate(divergences), 0.999, method="inverted_cdf"),
        "windows": args.windows,
        "length": LENGTH,
        "tokens": int(sum(ids[: args.windows * LENGTH])),
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
