"""Writes test/golden/cut-vision.json: the tiny image models of test/golden/vision with half of their MLPs' channels, with three
of four heads, and with both, as plain checkpoints that transformers loads: the keys of config.json that say so, and the logits.
Slices are taken out here by plain indexing, by a rule: head h goes where h = 1 + block mod 2, channel c where (5c + block) is odd.

  pip install torch transformers==5.24.0 safetensors && python scripts/golden/cut_vision.py
"""

import json
import logging
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from vision import CASES, Lcg, SEED_OF_WEIGHTS, filled, pixels_of, short

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "test/golden/cut-vision.json"
HEADS = 4

VIT_NAMES = dict(
    prefix="{base}.encoder.layer.{block}.", qkv=["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    o="attention.output.dense",
)  # fmt: skip
NAMES = {
    "vit": dict(VIT_NAMES, base="vit", up="intermediate.dense", down="output.dense"),
    "deit-teacher": dict(VIT_NAMES, base="deit", up="intermediate.dense", down="output.dense"),
    "dinov2": dict(VIT_NAMES, base="dinov2", up="mlp.fc1", down="mlp.fc2"),
    "dinov2-swiglu": dict(VIT_NAMES, base="dinov2", up="mlp.weights_in", down="mlp.weights_out"),
    "clip": dict(base="", prefix="vision_model.encoder.layers.{block}.", qkv=[], o="", up="mlp.fc1", down="mlp.fc2"),
}  # fmt: skip
PARTS = {"mlp": ("mlp",), "heads": ("heads",), "all": ("mlp", "heads")}


def cut(name, golden, tensors, parts):
    """Tensors without the slices, and the keys that change."""
    names = NAMES[name]
    config = golden["config"].get("vision_config", golden["config"])
    hidden = config["hidden_size"]
    tensors = dict(tensors)
    keys = {}

    def take(module, rows=None, columns=None):
        weight = tensors[module + ".weight"]
        if rows is not None:
            tensors[module + ".bias"] = np.ascontiguousarray(tensors[module + ".bias"][rows])
            weight = weight[rows]
        tensors[module + ".weight"] = np.ascontiguousarray(weight if columns is None else weight[:, columns])

    for block in range(config["num_hidden_layers"]):
        prefix = names["prefix"].format(base=names["base"], block=block)
        if "heads" in parts:
            h = hidden // HEADS
            kept = [c for head in range(HEADS) if head != 1 + block % 2 for c in range(head * h, (head + 1) * h)]
            for module in names["qkv"]:
                take(prefix + module, rows=kept)
            take(prefix + names["o"], columns=kept)
            keys.update(num_attention_heads=HEADS - 1, head_dim=h)
        if "mlp" in parts:
            F = tensors[prefix + names["down"] + ".weight"].shape[1]
            kept = [c for c in range(F) if (5 * c + block) % 2 == 0]
            sections = tensors[prefix + names["up"] + ".weight"].shape[0] // F
            take(prefix + names["up"], rows=[s * F + c for s in range(sections) for c in kept])
            take(prefix + names["down"], columns=kept)
            keys.update({"mlp_ratio": config["mlp_ratio"] // 2} if "mlp_ratio" in config else {"intermediate_size": F // 2})
    return tensors, keys


def main():
    logging.disable(logging.WARNING)
    found = {}
    for name in NAMES:
        golden = json.loads((ROOT / f"test/golden/vision/{name}.json").read_text())
        rng = Lcg(SEED_OF_WEIGHTS)
        tensors = {key: filled(rng, key, shape) for key, shape in golden["tensors"]}
        run = golden["runs"][0]["input"]
        for units, parts in PARTS.items():
            if name == "clip" and units != "mlp":
                continue  # CLIP takes the size of a head from hidden_size
            made, keys = cut(name, golden, tensors, parts)
            config = json.loads(json.dumps(golden["config"]))
            (config.get("vision_config") or config).update(keys)
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
                save_file(made, pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
                model, info = getattr(transformers, CASES[name][0]).from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
            if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
                sys.exit(f"{name}: {info}")
            args = {"pixel_values": torch.from_numpy(pixels_of(run["pixels"]))}
            if "ids" in run:
                args["input_ids"] = torch.tensor(run["ids"])
            with torch.no_grad():
                output = model.eval()(**args)
            result = output["image_embeds"] if name == "clip" else output["logits"]
            found[f"{name} {units}"] = dict(keys=keys, outputs=short(result))
            print(name, units, keys, short(result)[0][:3])
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in found.items())
    OUT.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
