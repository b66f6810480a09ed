"""Writes test/golden/experts: what REAP, frequency and M-SMoE's merge make of the tiny mixtures of test/golden/families.

Nothing of the project takes part. A mixture's layers are computed here in float64 from the tensors in its file; only the
residual that reaches them, and the logits of the smaller checkpoints, come from transformers. Run after families.py:

  pip install torch transformers safetensors scipy && python scripts/golden/experts.py [case …]
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2] / "test/golden"
FAMILIES, OUT = ROOT / "families", ROOT / "experts"
# checkpoint: how many experts of each block stay
CASES = {"mixtral": 3, "mixtral-window-bf16": 3, "qwen3_moe": 4, "qwen3_moe-step-f16": 3}
NAMES = {
    "mixtral": ("block_sparse_moe.gate", "block_sparse_moe.experts.{}.{}", ("w1", "w3", "w2")),
    "qwen3_moe": ("mlp.gate", "mlp.experts.{}.{}", ("gate_proj", "up_proj", "down_proj")),
}


def logits_of(directory: pathlib.Path, ids: torch.Tensor) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def inputs_of(directory: pathlib.Path, ids: torch.Tensor, blocks: list[int]) -> dict[int, torch.Tensor]:
    """What the mixture of each block reads, [tokens, D], in the dense model."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    found = {}
    for block in blocks:
        def keep(_, inputs, block=block):
            found[block] = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
        model.model.layers[block].mlp.register_forward_pre_hook(keep)
    with torch.no_grad():
        model(input_ids=ids)
    return found


def measure(x: torch.Tensor, router: torch.Tensor, experts: list[dict], k: int, normalised: bool):
    """Tokens and REAP score of each expert, and the router's logits."""
    logits = x @ router.T
    weights, chosen = logits.softmax(-1).topk(k, dim=-1)
    if normalised:
        weights = weights / weights.sum(-1, keepdim=True)
    tokens, scores = [], []
    for j, e in enumerate(experts):
        rows, place = (chosen == j).nonzero(as_tuple=True)
        own = x[rows]
        out = (torch.nn.functional.silu(own @ e["gate"].T) * (own @ e["up"].T)) @ e["down"].T
        worth = weights[rows, place] * out.norm(dim=-1)
        tokens.append(len(rows))
        scores.append(worth.mean().item() if len(rows) else 0.0)
    return tokens, scores, logits


def largest(values: list[float], count: int) -> list[int]:
    return sorted(sorted(range(len(values)), key=lambda j: (-values[j], j))[:count])


def merge(experts: list[dict], tokens: list[int], kept: list[int], into: dict[int, int]) -> dict[int, dict]:
    """The average of each group, its neurons in the order of the expert that stays."""
    merged = {}
    for stays in kept:
        own = experts[stays]
        total = {name: W * tokens[stays] for name, W in own.items()}
        count = tokens[stays]
        for goes in (j for j, to in into.items() if to == stays):
            other = experts[goes]
            alike = own["gate"] @ other["gate"].T + own["up"] @ other["up"].T + own["down"].T @ other["down"]
            _, order = linear_sum_assignment(alike.numpy(), maximize=True)
            for name in total:
                W = other[name][:, order] if name == "down" else other[name][order]
                total[name] = total[name] + tokens[goes] * W
            count += tokens[goes]
        merged[stays] = {name: W / count for name, W in total.items()} if count else own
    return merged


def write(source: pathlib.Path, target: pathlib.Path, kept: dict[int, list[int]], family: str, merged: dict | None) -> None:
    """The smaller checkpoint: renamed tensors, the router's rows, the number of experts."""
    router, pattern, parts = NAMES[family]
    tensors = load_file(source / "model.safetensors")
    for block, stay in kept.items():
        prefix = f"model.layers.{block}."
        name = f"{prefix}{router}.weight"
        gone = {key: tensors.pop(key) for key in list(tensors) if key.startswith(prefix + pattern.split("{}")[0])}
        tensors[name] = tensors[name][stay].clone()
        for at, expert in enumerate(stay):
            for kind, part in zip(("gate", "up", "down"), parts):
                old = gone[f"{prefix}{pattern.format(expert, part)}.weight"]
                value = old if merged is None else merged[block][expert][kind].to(old.dtype)
                tensors[f"{prefix}{pattern.format(at, part)}.weight"] = value.contiguous()
    config = json.loads((source / "config.json").read_text())
    for key in ("num_experts", "num_local_experts"):
        if key in config:
            config[key] = len(next(iter(kept.values())))
    target.mkdir(parents=True)
    (target / "config.json").write_text(json.dumps(config))
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


def make(name: str, count: int) -> None:
    source = FAMILIES / name
    config = json.loads((source / "config.json").read_text())
    family = config["model_type"]
    router, pattern, parts = NAMES[family]
    ids = load_file(source / "golden.safetensors")["input_ids"]
    tensors = {key: value.double() for key, value in load_file(source / "model.safetensors").items()}
    total = config.get("num_experts", config.get("num_local_experts"))
    blocks = [b for b in range(config["num_hidden_layers"]) if f"model.layers.{b}.{router}.weight" in tensors]
    normalised = family == "mixtral" or config.get("norm_topk_prob", False)
    inputs = inputs_of(source, ids, blocks)
    said, golden = {"count": count, "blocks": {}, "sha256": {}}, {}
    kept = {"reap": {}, "frequency": {}}
    merged = {}
    for block in blocks:
        prefix = f"model.layers.{block}."
        experts = [
            {kind: tensors[f"{prefix}{pattern.format(j, part)}.weight"] for kind, part in zip(("gate", "up", "down"), parts)}
            for j in range(total)
        ]
        gate = tensors[f"{prefix}{router}.weight"]
        tokens, scores, logits = measure(inputs[block], gate, experts, config["num_experts_per_tok"], normalised)
        kept["reap"][block], kept["frequency"][block] = largest(scores, count), largest(tokens, count)
        alike = torch.nn.functional.cosine_similarity(logits.T[:, None], logits.T[None], dim=-1)
        stay = kept["frequency"][block]
        into = {j: max(stay, key=lambda i: (alike[j, i].item(), -i)) for j in range(total) if j not in stay}
        merged[block] = merge(experts, tokens, stay, into)
        said["blocks"][block] = {
            "tokens": tokens,
            "scores": scores,
            "reap": kept["reap"][block],
            "frequency": stay,
            "merged": [{"expert": j, "into": i} for j, i in into.items()],
        }
        for at, expert in enumerate(stay):
            for kind in ("gate", "up", "down"):
                golden[f"merged.{block}.{at}.{kind}"] = merged[block][expert][kind].float().contiguous()
    with tempfile.TemporaryDirectory() as folder:
        for method, stay, mean in (("reap", "reap", None), ("frequency", "frequency", None), ("merge", "frequency", merged)):
            target = pathlib.Path(folder) / method
            write(source, target, kept[stay], family, mean)
            golden[f"logits.{method}"] = logits_of(target, ids).contiguous()
            if mean is None:
                written = load_file(target / "model.safetensors").items()
                said["sha256"][method] = {key: hashlib.sha256(W.flatten().view(torch.uint8).numpy().tobytes()).hexdigest() for key, W in written}
    OUT.mkdir(exist_ok=True)
    save_file(golden, OUT / f"{name}.safetensors", {"golden": json.dumps(said)})
    print(name, json.dumps(said["blocks"]))


if __name__ == "__main__":
    for case in sys.argv[1:] or list(CASES):
        make(case, CASES[case])
