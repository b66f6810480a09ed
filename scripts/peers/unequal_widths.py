"""Judges `layerwise export --to hf` of a checkpoint with blocks of unequal width, by transformers.

    python scripts/peers/unequal_widths.py make <family> <out>       a tiny random checkpoint with layer_widths
    layerwise export <out> --to hf --custom-code --out <coded>
    layerwise export <out> --to hf --padded --out <padded>
    python scripts/peers/unequal_widths.py judge <out> <coded> [<padded>]

`judge` builds the model itself, block by block from the tensors of <out>, without Layerwise's code: attention and MLP in plain
PyTorch, float64. It compares logits of all three, those of the two exports also in float64, and greedy text with a cache
with greedy text without. Needs torch, transformers,
safetensors.
"""

import json
import os
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

WIDTHS = [[8, 4, 96], [4, 4, 33], [6, 2, 64], [3, 1, 351], [8, 1, 7]]
D, H, V = 64, 16, 256


def make(family, out):
    torch.manual_seed(1)
    config = dict(
        model_type=family, hidden_size=D, num_hidden_layers=len(WIDTHS), num_attention_heads=8, num_key_value_heads=4,
        intermediate_size=96, head_dim=H, vocab_size=V, max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=5000.0,
        hidden_act="silu", tie_word_embeddings=False, torch_dtype="float32", layer_widths=WIDTHS,
    )  # fmt: skip
    w = lambda *shape: torch.randn(*shape) * 0.9 / shape[-1] ** 0.5
    norm = lambda n: 1 + 0.2 * torch.randn(n)
    tensors = {"model.embed_tokens.weight": torch.randn(V, D), "model.norm.weight": norm(D), "lm_head.weight": w(V, D)}
    for i, (heads, kv, f) in enumerate(WIDTHS):
        at = f"model.layers.{i}."
        for name, rows in (("q", heads), ("k", kv), ("v", kv)):
            tensors[f"{at}self_attn.{name}_proj.weight"] = w(rows * H, D)
            if family == "qwen2":
                tensors[f"{at}self_attn.{name}_proj.bias"] = torch.randn(rows * H)
        tensors[f"{at}self_attn.o_proj.weight"] = w(D, heads * H)
        if family == "qwen3":
            tensors[f"{at}self_attn.q_norm.weight"], tensors[f"{at}self_attn.k_norm.weight"] = norm(H), norm(H)
        tensors[f"{at}mlp.gate_proj.weight"], tensors[f"{at}mlp.up_proj.weight"] = w(f, D), w(f, D)
        tensors[f"{at}mlp.down_proj.weight"] = w(D, f)
        tensors[f"{at}input_layernorm.weight"], tensors[f"{at}post_attention_layernorm.weight"] = norm(D), norm(D)
    os.makedirs(out)
    save_file(tensors, f"{out}/model.safetensors", {"format": "pt"})
    json.dump(config, open(f"{out}/config.json", "w"), indent=2)


def plain(folder, ids):
    """Logits [B, T, V] from the tensors alone, in float64."""
    config = json.load(open(f"{folder}/config.json"))
    files = [f for f in sorted(os.listdir(folder)) if f.endswith(".safetensors")]
    t = {k: v.double() for f in files for k, v in load_file(f"{folder}/{f}").items()}
    h = config["head_dim"]
    rms = lambda x, name: x * (x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]).rsqrt() * t[name]
    linear = lambda x, name: x @ t[f"{name}.weight"].T + t.get(f"{name}.bias", 0)
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    angles = torch.arange(ids.shape[1]).double()[:, None] / theta ** (torch.arange(0, h, 2).double() / h)
    cos, sin = angles.cos(), angles.sin()

    def turn(x):
        a, b = x[..., : h // 2], x[..., h // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    x = t["model.embed_tokens.weight"][ids]
    B, T = ids.shape
    for i, (heads, kv, _) in enumerate(config["layer_widths"]):
        at = f"model.layers.{i}."
        y = rms(x, f"{at}input_layernorm.weight")
        q, k, v = (
            linear(y, f"{at}self_attn.{n}_proj").view(B, T, c, h) for n, c in (("q", heads), ("k", kv), ("v", kv))
        )
        if f"{at}self_attn.q_norm.weight" in t:
            q, k = rms(q, f"{at}self_attn.q_norm.weight"), rms(k, f"{at}self_attn.k_norm.weight")
        q, k, v = turn(q.transpose(1, 2)), turn(k.transpose(1, 2)), v.transpose(1, 2)
        k, v = (z.repeat_interleave(heads // kv, 1) for z in (k, v))
        scores = q @ k.transpose(2, 3) / h**0.5 + torch.full((T, T), -torch.inf).triu(1).double()
        x = x + linear((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, -1), f"{at}self_attn.o_proj")
        y = rms(x, f"{at}post_attention_layernorm.weight")
        gate = torch.nn.functional.silu(linear(y, f"{at}mlp.gate_proj"))
        x = x + linear(gate * linear(y, f"{at}mlp.up_proj"), f"{at}mlp.down_proj")
    x = rms(x, "model.norm.weight")
    return x @ t.get("lm_head.weight", t["model.embed_tokens.weight"]).T


def judge(source, coded, padded=None):
    config = AutoConfig.from_pretrained(coded)
    ids = torch.randint(0, config.vocab_size, (2, 48), generator=torch.Generator().manual_seed(0))
    expected = plain(source, ids)
    own = None
    for name, folder in (("custom code", coded), ("padded", padded)):
        if folder is None:
            continue
        model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=name != "padded", dtype=torch.float32).eval()
        with torch.no_grad():
            logits = model(ids).logits
        worst = (logits - expected).abs().max().item()
        prompt = ids[:1, :8]
        texts = [model.generate(prompt, max_new_tokens=24, do_sample=False, use_cache=cache, pad_token_id=0) for cache in (True, False)]
        line = dict(form=name, model=type(model).__name__, toFloat64=worst, largest=expected.abs().max().item())
        line["cacheChangesNothing"] = torch.equal(*texts)
        if own is not None:
            line["toCustomCode"] = (logits - own[0]).abs().max().item()
            line["sameText"] = torch.equal(texts[0], own[1])
        with torch.no_grad():
            exact = model.double()(ids).logits
        if own is not None:
            line["toCustomCode64"] = (exact - own[2]).abs().max().item()
        own = own or (logits, texts[0], exact)
        print(json.dumps(line))
        assert worst < 1e-5 and line["cacheChangesNothing"] and line.get("sameText", True), line
        assert line.get("toCustomCode", 0) < 1e-5 and line.get("toCustomCode64", 0) < 1e-12, line


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"make": make, "judge": judge}[sys.argv[1]](*sys.argv[2:])
