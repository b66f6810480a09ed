"""Writes test/golden/wanda: masks, column norms, perplexities and errors of a second, independent implementation.

A plain PyTorch LLaMA, block-sequential Wanda (arXiv 2306.11695), magnitude and ATP's rates (arXiv 2502.14770, eq. 10),
written from the equations; transformers is used only to check the dense forward pass.

  pip install torch transformers safetensors numpy && python scripts/golden/wanda.py

model/              LLaMA, F32: 4 blocks, hidden 64, 4 heads of which 2 key-value, MLP 112, vocabulary 128, untied. Some weights of
                    equal magnitude are planted, so that magnitude meets ties; no weight is zero, so that zeros are the mask.
golden.safetensors  calibration, evaluation: I32 [8, 32]
                    wanda.<run>.mask.<linear>: U8 [rows, columns / 8]; bit j % 8 (lowest first) of byte j / 8 is column j, 1 = pruned
                    wanda.<run>.norms.<linear>: F32 [columns], sqrt of the mean over sequences of sum over tokens x_j^2, of the
                    inputs the linear has when its block is calibrated: blocks before it pruned, its own block not yet
                    magnitude.row.mask.<linear>, magnitude.matrix.mask.<linear>: likewise, from the dense weights at 0.5
golden.json         rates, pruned weights, perplexities, ||X_dense - X_pruned||_F / ||X_dense||_F of every block's output on the
                    calibration windows, NeuronAl's misalignment (TMLR 2025); <run> is uniform (S = 0.5) or atp (S = 0.6, beta = 0.1)

Pruned are the k = floor(columns * s) first of a stable sort of a row (magnitude.matrix: floor(weights * s) of the matrix, row-major).
The seed is the first for which float64 gives the same masks as float32 and no kept score lies within 1e-5 (relative) of a
pruned one, so that another fp32 implementation can be asked for the same bits.
"""

import argparse
import json
import math
import pathlib
import shutil

import numpy
import torch
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/wanda"
CONFIG = dict(
    architectures=["LlamaForCausalLM"],
    model_type="llama",
    hidden_size=64,
    intermediate_size=112,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=128,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    hidden_act="silu",
    tie_word_embeddings=False,
    attention_bias=False,
    mlp_bias=False,
    torch_dtype="float32",
)
L = CONFIG["num_hidden_layers"]
D = CONFIG["hidden_size"]
M = CONFIG["intermediate_size"]
H = CONFIG["num_attention_heads"]
KV = CONFIG["num_key_value_heads"]
V = CONFIG["vocab_size"]
HEAD = D // H
WINDOWS, T = 8, 32
SMALLEST_GAP = 1e-5
# linear of a block: (rows, columns, the activation it reads)
LINEARS = {
    "self_attn.q_proj": (H * HEAD, D, "attention"),
    "self_attn.k_proj": (KV * HEAD, D, "attention"),
    "self_attn.v_proj": (KV * HEAD, D, "attention"),
    "self_attn.o_proj": (D, H * HEAD, "heads"),
    "mlp.gate_proj": (M, D, "mlp"),
    "mlp.up_proj": (M, D, "mlp"),
    "mlp.down_proj": (D, M, "product"),
}
Weights = dict[str, torch.Tensor]


def linear_name(block: int, linear: str) -> str:
    return f"model.layers.{block}.{linear}"


def make_weights(seed: int) -> Weights:
    """Random, but uneven: channels of the residual stream differ in scale and rows in size, as in trained models."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    channels = torch.exp(0.6 * normal(D))
    channels[torch.randperm(D, generator=generator)[:3]] *= 5
    weights = {"model.embed_tokens.weight": normal(V, D) * channels}
    for block in range(L):
        for linear, (rows, columns, _) in LINEARS.items():
            W = normal(rows, columns) + normal(rows, 2) @ normal(2, columns)
            W = W * torch.exp(0.4 * normal(rows, 1)) * 0.6 / math.sqrt(columns)
            weights[f"{linear_name(block, linear)}.weight"] = W
        weights[f"model.layers.{block}.input_layernorm.weight"] = 1 + 0.3 * normal(D).clamp(-2, 2)
        weights[f"model.layers.{block}.post_attention_layernorm.weight"] = 1 + 0.3 * normal(D).clamp(-2, 2)
    weights["model.norm.weight"] = 1 + 0.3 * normal(D).clamp(-2, 2)
    weights["lm_head.weight"] = normal(V, D) * 0.35
    plant_equal_magnitudes(weights)
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def plant_equal_magnitudes(weights: Weights) -> None:
    """One row of a single magnitude, and one matrix of few, none of them zero."""
    row = weights["model.layers.0.self_attn.q_proj.weight"][3]
    row.copy_(torch.sign(row) * 0.125)
    W = weights["model.layers.2.self_attn.k_proj.weight"]
    W.copy_(torch.sign(W) * (torch.floor(W.abs() * 32) + 0.5) / 32)


def rms_norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * gain


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of x [B, heads, T, HEAD]: coordinate j turns with j + HEAD / 2."""
    half = HEAD // 2
    speed = CONFIG["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) * 2 / HEAD)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def run_block(weights: Weights, block: int, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Output of a block for x [B, T, D], and the activations its linears read."""
    W = {linear: weights[f"{linear_name(block, linear)}.weight"] for linear in LINEARS}
    B, length, _ = x.shape
    read = {"attention": rms_norm(x, weights[f"model.layers.{block}.input_layernorm.weight"])}

    def heads(linear: str, count: int) -> torch.Tensor:
        return (read["attention"] @ W[linear].T).reshape(B, length, count, HEAD).transpose(1, 2)

    q = rotate(heads("self_attn.q_proj", H))
    k = rotate(heads("self_attn.k_proj", KV)).repeat_interleave(H // KV, 1)
    v = heads("self_attn.v_proj", KV).repeat_interleave(H // KV, 1)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(2, 3) / math.sqrt(HEAD)).masked_fill(future, -math.inf)
    read["heads"] = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, length, H * HEAD)
    x = x + read["heads"] @ W["self_attn.o_proj"].T
    read["mlp"] = rms_norm(x, weights[f"model.layers.{block}.post_attention_layernorm.weight"])
    gate = read["mlp"] @ W["mlp.gate_proj"].T
    read["product"] = gate / (1 + torch.exp(-gate)) * (read["mlp"] @ W["mlp.up_proj"].T)
    return x + read["product"] @ W["mlp.down_proj"].T, read


def block_outputs(weights: Weights, ids: torch.Tensor) -> list[torch.Tensor]:
    x = weights["model.embed_tokens.weight"][ids]
    outputs = []
    for block in range(L):
        x, _ = run_block(weights, block, x)
        outputs.append(x)
    return outputs


def logits(weights: Weights, ids: torch.Tensor) -> torch.Tensor:
    return rms_norm(block_outputs(weights, ids)[-1], weights["model.norm.weight"]) @ weights["lm_head.weight"].T


def perplexity(weights: Weights, windows: torch.Tensor) -> float:
    """exp of the mean over windows of the mean of -log p over all tokens of a window but its first."""
    log_p = torch.log_softmax(logits(weights, windows)[:, :-1], -1)
    return torch.exp(-log_p.gather(2, windows[:, 1:, None]).mean((1, 2)).mean()).item()


def sample_windows(weights: Weights, generator: torch.Generator) -> torch.Tensor:
    """Text the dense model itself writes, so that it has something to lose."""
    ids = torch.randint(0, V, (WINDOWS, 1), generator=generator)
    for _ in range(T - 1):
        p = torch.softmax(logits(weights, ids)[:, -1], -1)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], 1)
    return ids


def first_of_sort(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, float]:
    """Marks the k first of a stable sort of every row; and the smallest relative gap between first kept and last pruned."""
    ordered, order = torch.sort(scores, dim=1, stable=True)
    mask = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order[:, :k], True)
    gap = ((ordered[:, k] - ordered[:, k - 1]) / ordered[:, k]).min().item()
    return mask, gap


def rates(sparsity: float, beta: float) -> list[float]:
    result = [sparsity - beta * (L - 1) / 2 + beta * i for i in range(L)]
    for rate in result:
        assert all(math.floor(columns * rate) == math.floor(columns * rate + 1e-9) for columns in (D, M)), rate
    return result


def wanda(dense: Weights, calibration: torch.Tensor, block_rates: list[float]) -> tuple[Weights, dict, dict, float]:
    """Pruned weights, masks, column norms and the smallest gap."""
    weights = {name: tensor.clone() for name, tensor in dense.items()}
    masks, norms, smallest = {}, {}, math.inf
    x = weights["model.embed_tokens.weight"][calibration]
    for block in range(L):
        _, read = run_block(weights, block, x)
        for linear, (_, columns, activation) in LINEARS.items():
            name = linear_name(block, linear)
            W = weights[f"{name}.weight"]
            norms[name] = torch.sqrt((read[activation] ** 2).sum(1).mean(0))
            masks[name], gap = first_of_sort(W.abs() * norms[name], math.floor(columns * block_rates[block]))
            smallest = min(smallest, gap)
            W[masks[name]] = 0
        x, _ = run_block(weights, block, x)
    return weights, masks, norms, smallest


def magnitude(dense: Weights, rate: float, whole: bool) -> tuple[Weights, dict]:
    weights, masks = {name: tensor.clone() for name, tensor in dense.items()}, {}
    for block in range(L):
        for linear in LINEARS:
            name = linear_name(block, linear)
            W = weights[f"{name}.weight"]
            scores = W.abs().reshape(1, -1) if whole else W.abs()
            masks[name] = first_of_sort(scores, math.floor(scores.shape[1] * rate))[0].reshape(W.shape)
            W[masks[name]] = 0
    return weights, masks


def errors(dense: Weights, pruned: Weights, calibration: torch.Tensor) -> list[float]:
    pairs = zip(block_outputs(dense, calibration), block_outputs(pruned, calibration), strict=True)
    return [(torch.linalg.norm(a - b) / torch.linalg.norm(a)).item() for a, b in pairs]


def misalignment(dense: Weights, pruned: Weights, calibration: torch.Tensor) -> float:
    """NeuronAl's: both versions of a block read the output of the pruned blocks before it."""
    x, total = dense["model.embed_tokens.weight"][calibration].double(), 0.0
    dense, pruned = ({name: tensor.double() for name, tensor in weights.items()} for weights in (dense, pruned))
    for block in range(L):
        (_, whole), (y, thinned) = run_block(dense, block, x), run_block(pruned, block, x)
        for _, columns, activation in LINEARS.values():
            a, b = (torch.linalg.norm(read[activation], dim=(0, 1)) for read in (whole, thinned))
            total += (torch.linalg.norm(a / a.sum() - b / b.sum()) / columns).item()
        x = y
    return total


def pack(mask: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(numpy.packbits(mask.numpy(), axis=1, bitorder="little"))


def attempt(seed: int) -> tuple[Weights, dict, dict] | None:
    """Everything for one seed, or nothing where another summation order could change a mask."""
    dense = make_weights(seed)
    double = {name: tensor.double() for name, tensor in dense.items()}
    generator = torch.Generator().manual_seed(1000 + seed)
    calibration, evaluation = sample_windows(dense, generator), sample_windows(dense, generator)
    tensors = {"calibration": calibration.int(), "evaluation": evaluation.int()}
    facts = {"seed": seed, "torch": torch.__version__, "dense": {"perplexity": perplexity(dense, evaluation)}, "wanda": {}}
    for run, sparsity, beta in (("uniform", 0.5, 0.0), ("atp", 0.6, 0.1)):
        block_rates = rates(sparsity, beta)
        weights, masks, norms, gap = wanda(dense, calibration, block_rates)
        _, judged, _, _ = wanda(double, calibration, block_rates)
        if gap < SMALLEST_GAP or any(not torch.equal(masks[name], judged[name]) for name in masks):
            return None
        for name, mask in masks.items():
            tensors[f"wanda.{run}.mask.{name}"] = pack(mask)
            tensors[f"wanda.{run}.norms.{name}"] = norms[name]
        facts["wanda"][run] = dict(
            sparsity=sparsity,
            beta=beta,
            rates=block_rates,
            pruned=sum(mask.sum().item() for mask in masks.values()),
            perplexity=perplexity(weights, evaluation),
            errors=errors(dense, weights, calibration),
            misalignment=misalignment(dense, weights, calibration),
            smallestGap=gap,
        )
    facts["magnitude"] = {}
    for pattern in ("row", "matrix"):
        weights, masks = magnitude(dense, 0.5, pattern == "matrix")
        for name, mask in masks.items():
            tensors[f"magnitude.{pattern}.mask.{name}"] = pack(mask)
        pruned = sum(mask.sum().item() for mask in masks.values())
        facts["magnitude"][pattern] = dict(
            sparsity=0.5,
            pruned=pruned,
            perplexity=perplexity(weights, evaluation),
            errors=errors(dense, weights, calibration),
        )
    return dense, tensors, facts


def check_against_transformers(directory: pathlib.Path, ids: torch.Tensor) -> float:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    difference = (model(input_ids=ids).logits - logits(load_file(directory / "model.safetensors"), ids)).abs().max().item()
    assert difference < 1e-4, difference
    return difference


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the golden values of Wanda and magnitude.")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    seed = 0
    while (found := attempt(seed)) is None:
        seed += 1
    dense, tensors, facts = found
    assert all((tensor != 0).all() for name, tensor in dense.items() if name.endswith("proj.weight"))
    shutil.rmtree(out, ignore_errors=True)
    (out / "model").mkdir(parents=True)
    (out / "model/config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(dense, out / "model/model.safetensors", {"format": "pt"})
    save_file(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(facts, indent=2) + "\n")
    difference = check_against_transformers(out / "model", tensors["evaluation"].long())
    print(json.dumps(facts, indent=2))
    print(f"largest difference of the logits from transformers: {difference:.1e}")


if __name__ == "__main__":
    main()
