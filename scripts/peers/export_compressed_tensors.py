"""Judges `layerwise export --to compressed-tensors` by transformers and compressed-tensors.

    python scripts/peers/export_compressed_tensors.py quantise <checkpoint> <out>    a copy whose linears are on grids, with layerwise.scales
    layerwise export <out> --to compressed-tensors --out <exported>
    python scripts/peers/export_compressed_tensors.py judge <exported> [<out>]       [dtype ...]

`quantise` rounds at random to 2, 3, 4 and 8 bits, with signed scales. `judge` packs and unpacks with the library's own
functions, loads the directory, and compares its logits with those of the same model holding q * scale as plain weights;
with a second directory also with that checkpoint. Needs torch, transformers, compressed-tensors, safetensors.
"""

import json
import os
import shutil
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


def quantise(source, out):
    torch.manual_seed(0)
    shutil.copytree(source, out)
    path = f"{out}/model.safetensors"
    tensors = load_file(path)
    scales, bits = {}, {}
    for name, w in tensors.items():
        if "_proj.weight" not in name:
            continue
        b = (2, 3, 4, 8)[len(bits) % 4]
        columns = w.shape[1]
        group = columns if b == 8 else 32
        x = w.float().view(w.shape[0], -1, group)
        largest = x.gather(2, x.abs().argmax(2, keepdim=True))
        s = x.abs().amax(2, keepdim=True) / 127 if b == 8 else (largest / -(2 ** (b - 1))).half().float()
        q = (x / s).round().clamp(-(2 ** (b - 1)), 2 ** (b - 1) - 1)
        q = torch.where(torch.rand_like(q) < 0.3, 0, q)
        tensors[name] = (q * s).to(w.dtype).view(w.shape)
        scales[name] = s.squeeze(2).contiguous().to(torch.float32 if b == 8 else torch.float16)
        bits[name] = b
    save_file(tensors, path, {"format": "pt"})
    save_file(scales, f"{out}/layerwise.scales", {"format": "layerwise-scales 1", "bits": json.dumps(bits)})


def reference(exported, dtype, out):
    """A copy of the exported directory with q * scale in place of packed modules."""
    config = json.load(open(f"{exported}/config.json"))
    groups = config.pop("quantization_config")["config_groups"].values()
    tail = lambda name: name.split("layers.")[-1]  # the file may have older names than the module
    weights = {tail(m): g["weights"] for g in groups for m in g["targets"]}
    files = [f for f in sorted(os.listdir(exported)) if f.endswith(".safetensors")]
    tensors = {k: v for f in files for k, v in load_file(f"{exported}/{f}").items()}
    plain = {k: v for k, v in tensors.items() if not k.endswith(("weight_packed", "weight_scale", "weight_shape"))}
    modules = [k[: -len(".weight_packed")] for k in tensors if k.endswith(".weight_packed")]
    assert {tail(m) for m in modules} == set(weights) and len(modules) == len(weights)
    negative = 0
    for m in modules:
        w = weights[tail(m)]
        packed, scale, shape = (tensors[f"{m}.weight_{part}"] for part in ("packed", "scale", "shape"))
        q = unpack_from_int32(packed, w["num_bits"], shape)
        assert torch.equal(pack_to_int32(q, w["num_bits"]), packed), m
        negative += (scale < 0).sum().item()
        scale = scale.to(dtype)  # as transformers loads it
        plain[f"{m}.weight"] = (q.view(*scale.shape, -1).to(dtype) * scale[..., None]).view(*shape.tolist())
    save_file(plain, f"{out}/model.safetensors", {"format": "pt"})
    json.dump(config, open(f"{out}/config.json", "w"))
    bits = sorted({w["num_bits"] for w in weights.values()})
    print(len(weights), "modules,", bits, "bits,", negative, "negative scales")


def judge(exported, checkpoint, dtype):
    with tempfile.TemporaryDirectory() as out:
        reference(exported, dtype, out)
        model, twin = (AutoModelForCausalLM.from_pretrained(d, dtype=dtype).eval() for d in (exported, out))
    ids = torch.arange(1, 65)[None] % model.get_input_embeddings().weight.shape[0]
    with torch.no_grad():
        logits, expected = model(ids).logits, twin(ids).logits
    print(dtype, "largest difference to q * scale", (logits - expected).abs().max().item(), "of", expected.abs().max().item())
    if checkpoint:
        source = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype).eval()
        with torch.no_grad():
            expected = source(ids).logits
        print("largest difference to the checkpoint", (logits - expected).abs().max().item())


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, *rest = sys.argv[1:]
    if command == "quantise":
        quantise(*rest)
    else:
        names = [a for a in rest if a in ("float32", "float16", "bfloat16")] or ["float32"]
        paths = [a for a in rest if a not in names]
        for name in names:
            judge(paths[0], paths[1] if len(paths) > 1 else None, getattr(torch, name))
