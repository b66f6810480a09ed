"""Writes test/golden/families: a tiny random checkpoint of every family, and its logits by transformers in fp32.

  pip install torch transformers safetensors && python scripts/golden/families.py
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

OUT = pathlib.Path(__file__).parents[2] / "test/golden/families"
VOCABULARY, T = 96, 24

BASE = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=72,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)

# name: (model_type, changes to BASE, dtype, extras). One case a family has a large eps: at 1e-5 a wrong one hides in the tolerance.
CASES = {
    "llama": ("llama", dict(rope_theta=10000.0), torch.float32, {}),
    "llama-tied-f16": ("llama", dict(tie_word_embeddings=True, rope_theta=500.0), torch.float16, {"old": True}),
    "llama-bf16-mha": ("llama", dict(num_key_value_heads=4), torch.bfloat16, {}),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True, rms_norm_eps=1e-3), torch.float32, {}),
    "llama-rope-llama3": ("llama", dict(rope_theta=100.0, rope_scaling=LLAMA3), torch.float32, {}),
    "llama-rope-llama3-old": ("llama", dict(rope_theta=100.0, rope_scaling=LLAMA3), torch.float32, {"old": True}),
    "llama-rope-linear": ("llama", dict(rope_scaling=dict(rope_type="linear", factor=3.0)), torch.float32, {"old": True}),
    "llama-sharded": ("llama", dict(num_hidden_layers=3), torch.float32, {"shard": "40KB"}),
    "mistral": ("mistral", dict(head_dim=12, sliding_window=None, rms_norm_eps=2e-3), torch.float32, {}),
    "mistral-window": ("mistral", dict(sliding_window=32), torch.float32, {}),
    "qwen2": ("qwen2", dict(rope_theta=1000000.0, rms_norm_eps=3e-3), torch.float32, {}),
    "qwen2-tied-bf16": ("qwen2", dict(tie_word_embeddings=True), torch.bfloat16, {}),
    "qwen3": ("qwen3", dict(head_dim=16, rope_theta=50000.0, rms_norm_eps=2e-3), torch.float32, {}),
    "qwen3-tied-f16": ("qwen3", dict(head_dim=8, tie_word_embeddings=True), torch.float16, {"old": True}),
}


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that the logits are of order one and every mistake shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.data = 1 + 0.3 * noise
        elif name.endswith("bias"):
            parameter.data = 0.3 * noise
        elif "embed" in name:
            parameter.data = 0.5 * noise
        else:
            parameter.data = 0.2 * noise


def to_old_form(directory: pathlib.Path) -> None:
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling, torch_dtype."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters", None) or {}
    theta = rope.pop("rope_theta", None)
    if theta is not None:
        config["rope_theta"] = theta
    if rope.get("rope_type", "default") != "default":
        if rope["rope_type"] == "linear":
            rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = rope
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def judge(directory: pathlib.Path, ids: torch.Tensor) -> torch.Tensor:
    """Logits in fp32 from what lies on the disk, whatever its dtype."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    for seed, (name, (model_type, changes, dtype, extras)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**BASE, **changes}))
        randomise(model, seed)
        model.tie_weights()
        model = model.to(dtype)
        directory = OUT / name
        model.save_pretrained(directory, max_shard_size=extras.get("shard", "5GB"))
        (directory / "generation_config.json").unlink(missing_ok=True)
        ids = torch.randint(0, VOCABULARY, (2, T), generator=torch.Generator().manual_seed(100 + seed))
        logits = judge(directory, ids)
        if extras.get("old"):
            to_old_form(directory)
            assert torch.equal(logits, judge(directory, ids)), name
        save_file({"input_ids": ids, "logits": logits.float().contiguous()}, directory / "golden.safetensors")
        files = sorted(path.name for path in directory.iterdir())
        print(name, f"{logits.abs().mean():.2f}", f"{logits.abs().max():.2f}", files)


if __name__ == "__main__":
    main()
