"""Writes test/golden/gradients: exact gradients of one block and of the head of a golden checkpoint of every family
(test/golden/families), by autograd in PyTorch in float64.

  pip install torch transformers safetensors && python scripts/golden/block_gradients.py [case …]

Each file <case>.safetensors, float32, holds
  x, d_y                  the residual before the block [2, T, D], and the cotangent of its output; random
  y, g_x, g_<tensor>      the output and the gradients of <d_y, y>, tensors by their names in the checkpoint
  head.x, head.target, head.reference, head.d       inputs of the head [N, D], [N, 1], [N, D], cotangents [N, 1]
  nll.g_x, nll.g_<tensor> of <d, -log p(target)>; divergence.g_x, divergence.g_<tensor> of <d, KL(reference || x)>, where
                          the reference's logits are constants
and in its metadata the number of the block, and as JSON under `loss`, for the checkpoint as a whole: the mean negative
log-likelihood `nll` of the tokens of golden.safetensors but the first of each window, and the norms of its gradients.
"""

import contextlib
import json
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2]
FAMILIES = ROOT / "test/golden/families"
OUT = ROOT / "test/golden/gradients"

# One case a family, and what a family's first does not show: the block whose gradients are written.
CASES = {
    "llama": 0,
    "llama-bias": 1,
    "mistral-short-window": 0,
    "mixtral": 0,
    "qwen2": 0,
    "qwen3": 0,
    "qwen3_moe": 0,
    "phi3-longrope": 0,
    "gemma2": 0,
    "gemma3_text": 5,
    "gemma3": 0,
    "opt": 0,
    "opt-350m": 0,
    "gpt2": 0,
    "gpt_neox": 0,
}


def checkpoint_gradients(model: torch.nn.Module, stored: set[str]) -> dict[str, torch.Tensor]:
    """Gradients by the names of the checkpoint; experts, which transformers keep in one tensor, one by one."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        gradient = parameter.grad
        if ".experts." not in name:
            found[name] = gradient
            continue
        mixtral = model.config.model_type == "mixtral"
        base = name.split(".mlp.experts.")[0] + (".block_sparse_moe.experts" if mixtral else ".mlp.experts")
        gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        for expert in range(len(gradient)):
            if name.endswith("down_proj"):
                found[f"{base}.{expert}.{down}.weight"] = gradient[expert]
            else:
                found[f"{base}.{expert}.{gate}.weight"], found[f"{base}.{expert}.{up}.weight"] = gradient[expert].chunk(2)
    renamed = {}
    for name, gradient in found.items():
        options = [name, name.replace(".mlp.gate.", ".block_sparse_moe.gate."), name.removeprefix("model."), f"language_{name}"]
        options += ["embed_out.weight"] if name == "lm_head.weight" else []
        options += [name.replace("model.language_model.", "language_model.model."), "language_model." + name]
        match = [option for option in options if option in stored]
        assert match or name == "lm_head.weight", (name, sorted(stored)[:4])
        if match:
            renamed[match[0]] = gradient
    return renamed


@contextlib.contextmanager
def in_double(model: torch.nn.Module):
    """Everything in float64, also what transformers compute in float32 whatever the dtype (norms, softmax, routers); but for
    the tables of angles, whose rounding to float32 belongs to the model."""
    single, to_single = torch.float32, torch.Tensor.float

    def widen(*_):
        torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double

    def restore(*_):
        torch.float32, torch.Tensor.float = single, to_single

    rotations = [module for module in model.modules() if type(module).__name__.endswith("RotaryEmbedding")]
    hooks = [hook for module in rotations for hook in (module.register_forward_pre_hook(restore), module.register_forward_hook(widen))]
    widen()
    try:
        yield
    finally:
        restore()
        for hook in hooks:
            hook.remove()


def layers_of(model: torch.nn.Module) -> torch.nn.ModuleList:
    lists = [module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList) and "vision" not in name]
    return lists[0]


def run_block(model: torch.nn.Module, block: int, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The output of a block for the residual `x`, within a pass of the whole model: masks and positions are its own."""
    made = {}
    layer = layers_of(model)[block]

    def replace(_, args, kwargs):
        return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

    def keep(_, args, kwargs, output):
        made["y"] = output[0] if isinstance(output, tuple) else output

    hooks = [layer.register_forward_pre_hook(replace, with_kwargs=True), layer.register_forward_hook(keep, with_kwargs=True)]
    model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return made["y"]


def head_logits(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The logits of residuals [N, D]: the last block's output is replaced, in a pass of the whole model."""
    layer = layers_of(model)[-1]

    def replace(_, args, output):
        return (x[None], *output[1:]) if isinstance(output, tuple) else x[None]

    hook = layer.register_forward_hook(replace)
    logits = model(input_ids=torch.zeros(1, len(x), dtype=torch.long), use_cache=False).logits[0]
    hook.remove()
    return logits


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for seed, (name, block) in enumerate(CASES.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        directory = FAMILIES / name
        stored = {key for path in directory.glob("model*.safetensors") for key in safe_open(path, "pt").keys()}
        # Float32 first, then double: whatever is computed when a model is made, such as tables of angles, is what it is in fp32.
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval().double()
        generator = torch.Generator().manual_seed(300 + seed)
        random = lambda *shape: torch.randn(*shape, generator=generator)
        ids = load_file(directory / "golden.safetensors")["input_ids"]
        config = model.config.get_text_config()
        D, V = config.hidden_size, config.vocab_size
        tensors = {"x": random(*ids.shape, D), "d_y": random(*ids.shape, D)}

        def backward(loss: torch.Tensor, x: torch.Tensor | None, prefix: str) -> None:
            model.zero_grad(set_to_none=True)
            loss.backward()
            if x is not None:
                tensors[f"{prefix}g_x"] = x.grad
            for key, gradient in checkpoint_gradients(model, stored).items():
                tensors[f"{prefix}g_{key}"] = gradient.clone()

        with in_double(model):
            x = tensors["x"].double().requires_grad_()
            y = run_block(model, block, ids, x)
            backward((y * tensors["d_y"].double()).sum(), x, "")
            tensors["y"] = y.detach()

            N = 9
            tensors.update({"head.x": random(N, D), "head.reference": random(N, D), "head.d": random(N, 1)})
            tensors["head.target"] = torch.randint(0, V, (N, 1), generator=generator)
            x = tensors["head.x"].double().requires_grad_()
            d = tensors["head.d"].double()
            logs = head_logits(model, x).log_softmax(-1)
            backward(-(logs.gather(1, tensors["head.target"]) * d).sum(), x, "nll.")
            with torch.no_grad():
                q = head_logits(model, tensors["head.reference"].double()).log_softmax(-1)
            x = tensors["head.x"].double().requires_grad_()
            p = head_logits(model, x).log_softmax(-1)
            backward(((q.exp() * (q - p)).sum(-1, keepdim=True) * d).sum(), x, "divergence.")

            model.zero_grad(set_to_none=True)
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
        norms = {key: gradient.norm().item() for key, gradient in checkpoint_gradients(model, stored).items()}
        whole = json.dumps({"nll": loss.item(), "norms": norms})
        tensors = {key: (value if value.dtype == torch.long else value.float()).contiguous() for key, value in tensors.items()}
        save_file(tensors, OUT / f"{name}.safetensors", {"block": str(block), "loss": whole})
        print(name, len(tensors), f"{(OUT / f'{name}.safetensors').stat().st_size / 1000:.0f} kB", f"{loss.item():.4f}")


if __name__ == "__main__":
    main()
