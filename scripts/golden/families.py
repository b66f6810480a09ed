"""Writes test/golden/families: a tiny random checkpoint of every family, its logits by transformers in fp32, and what Wanda
makes of it: half of each row of each linear, block after block, with the golden tokens for calibration.

  pip install torch transformers safetensors && python scripts/golden/families.py [case …]
"""

import hashlib
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

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
MIXTRAL = dict(num_local_experts=5, num_experts_per_tok=2, intermediate_size=40)
QWEN3_MOE = dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, head_dim=10, num_hidden_layers=3)
# Families that call sizes otherwise, or have fewer: no key of LLaMA's may hide that theirs is not read.
BASES = dict(
    gemma3=dict(),
    opt=dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64),
    gpt2=dict(vocab_size=VOCABULARY),
    gpt_neox=dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, tie_word_embeddings=False),
)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.3, 2.5], long_factor=[1.5, 2.0, 9.0])
PHI_LONG = dict(rope_scaling=LONG, pad_token_id=0, partial_rotary_factor=0.75)
OPT = dict(ffn_dim=72, word_embed_proj_dim=None, tie_word_embeddings=True, pad_token_id=0)
GPT2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, tie_word_embeddings=True, layer_norm_epsilon=2e-3)
NEOX = dict(rotary_pct=0.5, layer_norm_eps=2e-3)
GEMMA = dict(head_dim=10, query_pre_attn_scalar=12, tie_word_embeddings=True, rms_norm_eps=2e-3, attn_logit_softcapping=3.0, final_logit_softcapping=4.0, pad_token_id=0)
GEMMA3 = dict(GEMMA, num_hidden_layers=7, sliding_window=6, hidden_size=24, intermediate_size=40, attn_logit_softcapping=None, final_logit_softcapping=None)
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)

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
    "phi3": ("phi3", dict(rms_norm_eps=2e-3, pad_token_id=0), torch.float32, {}),
    "phi3-window-bf16": ("phi3", dict(sliding_window=7, pad_token_id=0), torch.bfloat16, {"old": True}),
    "phi3-longrope": ("phi3", dict(PHI_LONG, original_max_position_embeddings=16), torch.float32, {}),
    "phi3-longrope-short": ("phi3", dict(PHI_LONG, original_max_position_embeddings=32), torch.float32, {"old": True}),
    "mistral-short-window": ("mistral", dict(sliding_window=5), torch.float32, {}),
    "qwen2-windows": ("qwen2", dict(use_sliding_window=True, sliding_window=9, max_window_layers=1), torch.float16, {"old": True}),
    "opt": ("opt", OPT, torch.float32, {}),
    "opt-f16": ("opt", dict(OPT, activation_function="gelu"), torch.float16, {}),
    "opt-350m": ("opt", dict(OPT, do_layer_norm_before=False, word_embed_proj_dim=20), torch.float32, {}),
    "opt-plain": ("opt", dict(OPT, enable_bias=False, layer_norm_elementwise_affine=False, tie_word_embeddings=False, _remove_final_layer_norm=True), torch.bfloat16, {}),
    "gpt2": ("gpt2", GPT2, torch.float32, {}),
    "gpt2-bare-f16": ("gpt2", GPT2, torch.float16, {"bare": True}),
    "gpt2-inner-bf16": ("gpt2", dict(GPT2, n_inner=52, tie_word_embeddings=False, activation_function="relu"), torch.bfloat16, {}),
    "gpt_neox": ("gpt_neox", NEOX, torch.float32, {}),
    "gpt_neox-serial-f16": ("gpt_neox", dict(NEOX, use_parallel_residual=False, hidden_act="gelu_fast", attention_bias=False), torch.float16, {"embed_out": True}),
    "gpt_neox-tied-bf16": ("gpt_neox", dict(NEOX, tie_word_embeddings=True, rope_parameters=dict(rope_theta=500.0, partial_rotary_factor=1.0, rope_type="default")), torch.bfloat16, {}),
    "gemma2": ("gemma2", dict(GEMMA, sliding_window=7), torch.float32, {}),
    "gemma2-old-bf16": ("gemma2", dict(GEMMA, num_hidden_layers=4, sliding_window=5, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True, hidden_activation="gelu"), torch.bfloat16, {"old": True}),
    "gemma3_text": ("gemma3_text", GEMMA3, torch.float32, {}),
    "gemma3_text-old-f16": ("gemma3_text", dict(GEMMA3, rope_scaling=dict(rope_type="linear", factor=8.0)), torch.float16, {"old": True}),
    "gemma3": ("gemma3", dict(text_config={**BASE, **GEMMA3}, vision_config=VISION, mm_tokens_per_image=4, image_token_index=95), torch.bfloat16, {}),
    "mixtral": ("mixtral", dict(MIXTRAL, rms_norm_eps=2e-3), torch.float32, {"idle": 4}),
    "mixtral-window-bf16": ("mixtral", dict(MIXTRAL, sliding_window=7, tie_word_embeddings=True, rope_theta=500.0), torch.bfloat16, {"old": True}),
    "qwen3_moe": ("qwen3_moe", dict(QWEN3_MOE, rms_norm_eps=2e-3, mlp_only_layers=[1], norm_topk_prob=True), torch.float32, {}),
    "qwen3_moe-step-f16": ("qwen3_moe", dict(QWEN3_MOE, num_experts_per_tok=2, decoder_sparse_step=2, use_sliding_window=True, sliding_window=9, attention_bias=True), torch.float16, {"old": True, "idle": 5}),
}


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that the logits are of order one and every mistake shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.data = 0.3 * noise
        elif "norm" in name or "ln_" in name:
            parameter.data = (0 if model.config.model_type.startswith("gemma") else 1) + 0.3 * noise
        elif "embed" in name or name.endswith(("wte.weight", "wpe.weight")):
            parameter.data = 0.5 * noise
        else:
            parameter.data = 0.2 * noise


def idle(model: torch.nn.Module, expert: int) -> None:
    """Sees to it that no token is given to `expert` of the blocks with experts, where two are picked: of four others two
    and two have opposite router rows, so one of each pair is never less probable than one whose row is 0."""
    for name, parameter in model.named_parameters():
        if name.endswith("mlp.gate.weight"):
            parameter.data[1], parameter.data[3], parameter.data[expert] = -parameter.data[0], -parameter.data[2], 0


def to_old_form(directory: pathlib.Path) -> None:
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling, torch_dtype."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters", None) or {}
    theta = rope.pop("rope_theta", None)
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        theta = rope.pop("rope_theta")
    if config["model_type"] in ("gemma2", "gemma3_text", "qwen2"):
        config.pop("layer_types")
    if theta is not None:
        config["rope_theta"] = theta
    share = rope.pop("partial_rotary_factor", None)
    if config["model_type"] == "gpt_neox":
        config["rotary_emb_base"], config["rotary_pct"] = config.pop("rope_theta"), share
    elif share is not None:
        config["partial_rotary_factor"] = share
    if rope.get("rope_type", "default") != "default":
        if rope["rope_type"] == "linear" and config["model_type"] == "llama":
            rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = rope
    if config["model_type"] == "qwen3_moe":
        config["num_experts"] = config.pop("num_local_experts")
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def rename(directory: pathlib.Path, change) -> None:
    """Gives the tensors other names, and blocks the buffers that old versions of transformers saved with them."""
    path = directory / "model.safetensors"
    tensors = {change(name): tensor for name, tensor in load_file(path).items()}
    stem = "h.{}.attn.{}" if "h.0.ln_1.weight" in tensors else "gpt_neox.layers.{}.attention.{}"
    for block in range(2):
        tensors[stem.format(block, "bias")] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        tensors[stem.format(block, "masked_bias")] = torch.tensor(-1e4)
    save_file(tensors, path, {"format": "pt"})


RENAMES = dict(
    bare=lambda name: name.removeprefix("transformer."),
    embed_out=lambda name: "embed_out.weight" if name == "lm_head.weight" else name,
)


def judge(directory: pathlib.Path, ids: torch.Tensor) -> torch.Tensor:
    """Logits in fp32 from what lies on the disk, whatever its dtype."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def expert_matrices(layer: torch.nn.Module) -> dict[str, tuple[int, str, torch.Tensor]]:
    """A layer's expert linears as the checkpoint calls them: expert, what it reads, and a view of W in the fused tensor."""
    experts = getattr(layer.mlp if hasattr(layer, "mlp") else None, "experts", None)
    if experts is None:
        return {}
    mixtral = type(experts).__name__.startswith("Mixtral")
    prefix, (gate, up, down) = ("block_sparse_moe", ("w1", "w3", "w2")) if mixtral else ("mlp", ("gate_proj", "up_proj", "down_proj"))
    found = {}
    for expert in range(experts.num_experts):
        gates, ups = experts.gate_up_proj.data[expert].chunk(2)
        for name, site, W in ((gate, "in", gates), (up, "in", ups), (down, "out", experts.down_proj.data[expert])):
            found[f"{prefix}.experts.{expert}.{name}"] = (expert, site, W)
    return found


def expert_sums(experts: torch.nn.Module, hidden: torch.Tensor, chosen: torch.Tensor) -> dict[tuple[int, str], torch.Tensor]:
    """What the experts' linears read, squared and summed over each expert's own tokens. One without tokens: every column
    counts alike, at the mean of the others."""
    sums, unseen = {}, []
    for expert in range(experts.num_experts):
        x = hidden[(chosen == expert).any(-1)]
        if len(x) == 0:
            unseen.append(expert)
            continue
        gates, ups = experts.gate_up_proj[expert].chunk(2)
        sums[expert, "in"] = (x.double() ** 2).sum(0)
        sums[expert, "out"] = ((experts.act_fn(x @ gates.T) * (x @ ups.T)).double() ** 2).sum(0)
    for expert in unseen:
        for site in ("in", "out"):
            others = torch.stack([value for (_, at), value in sums.items() if at == site])
            sums[expert, site] = torch.full_like(others[0], others.mean().item())
    return sums


def prune(directory: pathlib.Path, ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, str]]:
    """Logits after Wanda at 50 %, and the SHA-256 of each linear's mask, [out, in], a byte a weight. A block's statistics
    are those of its linears' inputs in the model whose earlier blocks are pruned; a Conv1D's weights lie [in, out]."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    lists = [module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList) and "vision" not in name]
    layers = lists[0]
    hashes = {}
    with torch.no_grad():
        for block, layer in enumerate(layers):
            linears = {name: module for name, module in layer.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D))}
            sums, hooks = {}, []
            for name, module in linears.items():
                def add(_, inputs, name=name):
                    x = inputs[0].reshape(-1, inputs[0].shape[-1])
                    sums[name] = (x.double() ** 2).sum(0)
                hooks.append(module.register_forward_pre_hook(add))
            matrices = {name: module.weight.T if isinstance(module, Conv1D) else module.weight for name, module in linears.items()}
            experts = expert_matrices(layer)
            if experts:
                def add_experts(module, inputs):
                    sums.update(expert_sums(module, inputs[0], inputs[1]))
                hooks.append(layer.mlp.experts.register_forward_pre_hook(add_experts))
            model(input_ids=ids)
            for hook in hooks:
                hook.remove()
            for name, (expert, site, W) in experts.items():
                matrices[name], sums[name] = W, sums[expert, site]
            for name, W in matrices.items():
                scores = W.abs() * (sums[name].float() / len(ids)).sqrt()
                gone = torch.sort(scores, dim=-1, stable=True)[1][:, : W.shape[1] // 2]
                mask = torch.zeros_like(W, dtype=torch.bool).scatter_(1, gone, True)
                W[mask] = 0
                hashes[f"{block}.{name}"] = hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()
        return model(input_ids=ids).logits, hashes


def main() -> None:
    asked = sys.argv[1:] or list(CASES)
    for seed, (name, (model_type, changes, dtype, extras)) in enumerate(CASES.items()):
        if name not in asked:
            continue
        shutil.rmtree(OUT / name, ignore_errors=True)
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**BASES.get(model_type, BASE), **changes}))
        randomise(model, seed)
        if "idle" in extras:
            idle(model, extras["idle"])
        model.tie_weights()
        model = model.to(dtype)
        directory = OUT / name
        model.save_pretrained(directory, max_shard_size=extras.get("shard", "5GB"))
        (directory / "generation_config.json").unlink(missing_ok=True)
        for extra, change in RENAMES.items():
            if extras.get(extra):
                rename(directory, change)
        ids = torch.randint(0, VOCABULARY, (2, T), generator=torch.Generator().manual_seed(100 + seed))
        logits = judge(directory, ids)
        if extras.get("old"):
            to_old_form(directory)
            assert torch.equal(logits, judge(directory, ids)), name
        pruned, masks = prune(directory, ids)
        golden = {"input_ids": ids, "logits": logits.float().contiguous(), "pruned_logits": pruned.contiguous()}
        save_file(golden, directory / "golden.safetensors", {"masks": json.dumps(masks)})
        files = sorted(path.name for path in directory.iterdir())
        print(name, f"{logits.abs().mean():.2f}", f"{logits.abs().max():.2f}", files)


if __name__ == "__main__":
    main()
