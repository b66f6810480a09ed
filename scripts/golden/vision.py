"""Writes test/golden/vision: for every vision and multimodal family what transformers computes of a tiny checkpoint that is
filled by a rule (a congruential generator, below), so that no weights are stored: test/vision-golden.ts makes the same
file. A JSON holds config.json, names and shapes of the tensors as they lie in the file, and of each run its input, the
residual before the first block and after every block (three rows of the first sample, first eight numbers), and its results.

  pip install torch transformers==5.24.0 safetensors && python scripts/golden/vision.py [case …]
"""

import hashlib
import json
import logging
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/vision"
SEED_OF_WEIGHTS, SEED_OF_PIXELS = 1, 2
ROWS, NUMBERS = (0, 1, -1), 8

# Classifiers and encoders.
VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8, num_labels=5)
CONVNEXT = dict(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], image_size=64, num_labels=5)
DINOV2 = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=28, patch_size=14, num_labels=5)
TEXT = dict(vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=16)
SMALL = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)
WIDE = dict(SMALL, hidden_size=48, intermediate_size=96)
# Language models over a tower.
LLAMA = dict(model_type="llama", vocab_size=120, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5)
CLIP_TOWER = dict(WIDE, model_type="clip_vision_model", num_hidden_layers=3, projection_dim=24)
LLAVA = dict(vision_config=CLIP_TOWER, text_config=LLAMA, image_token_index=119, image_seq_length=16)
# Two layers of the tower side by side; a tower without a class token, whose last layer is read whole.
LLAVA_MISTRAL = dict(LLAVA, text_config=dict(LLAMA, model_type="mistral"), vision_feature_layer=[-3, -2])
SIGLIP_TOWER = dict(SMALL, model_type="siglip_vision_model")
LLAVA_QWEN2 = dict(LLAVA, vision_config=SIGLIP_TOWER, text_config=dict(LLAMA, model_type="qwen2"), vision_feature_layer=-1, vision_feature_select_strategy="full")
MROPE = dict(rope_type="default", rope_theta=10000.0, mrope_section=[1, 1, 2])
QWEN2_VL = dict(
    vision_config=dict(depth=2, embed_dim=32, hidden_size=32, mlp_ratio=2, num_heads=4, patch_size=4),
    text_config={**{k: v for k, v in LLAMA.items() if k != "model_type"}, "rope_parameters": MROPE},
    image_token_id=115, video_token_id=116, vision_start_token_id=117, vision_end_token_id=118,
)
GEMMA = dict({k: v for k, v in LLAMA.items() if k not in ("rms_norm_eps", "max_position_embeddings")}, model_type="gemma", num_key_value_heads=1, head_dim=8)
PALIGEMMA = dict(vision_config=dict(SMALL, model_type="siglip_vision_model", projection_dim=32, vision_use_head=False), text_config=GEMMA, projection_dim=32, image_token_index=119)

CLIP_IDS = [[97, 5, 6, 7, 98, 98], [97, 9, 10, 98, 98, 98]]
SIGLIP_IDS = [[5, 6, 7] + 13 * [1], [9, 10] + 14 * [1]]
LLAVA_IDS = [[1, 7, 8] + 16 * [119] + [9, 10, 11]]
IDEFICS_IDS = [[1, 7, 8] + 4 * [119] + [9, 10, 11]]
QWEN_IDS = [[1, 117] + 4 * [115] + [118, 9, 10]]
PALI_IDS = [16 * [119] + [2, 7, 8, 9]]
TEXT_IDS = [[1, 7, 8, 9, 10, 11]]


def tiles(model_type):
    return dict(vision_config=dict(WIDE, model_type=model_type), text_config=LLAMA, image_token_id=119, scale_factor=2)


# name: (class of the model, its config, runs). A run: shape of the pixels, ids, the grid of patches in time, height and width,
# how many tokens are seen from both sides, further arguments.
CLASSIFIER = "ImageClassification"
CASES = {
    "vit": ("ViTFor" + CLASSIFIER, "ViT", VIT, [dict(pixels=[1, 3, 32, 32]), dict(pixels=[1, 3, 40, 48], interpolate_pos_encoding=True)]),
    "deit": ("DeiTFor" + CLASSIFIER, "DeiT", VIT, [dict(pixels=[1, 3, 32, 32])]),
    "deit-teacher": ("DeiTFor" + CLASSIFIER + "WithTeacher", "DeiT", VIT, [dict(pixels=[1, 3, 32, 32])]),
    "convnext": ("ConvNextFor" + CLASSIFIER, "ConvNext", CONVNEXT, [dict(pixels=[1, 3, 64, 64]), dict(pixels=[1, 3, 64, 96])]),
    "convnextv2": ("ConvNextV2For" + CLASSIFIER, "ConvNextV2", CONVNEXT, [dict(pixels=[1, 3, 64, 64]), dict(pixels=[2, 3, 64, 96])]),
    "dinov2": ("Dinov2For" + CLASSIFIER, "Dinov2", DINOV2, [dict(pixels=[1, 3, 28, 28]), dict(pixels=[1, 3, 42, 56])]),
    "dinov2-swiglu": ("Dinov2For" + CLASSIFIER, "Dinov2", dict(DINOV2, use_swiglu_ffn=True), [dict(pixels=[1, 3, 28, 28]), dict(pixels=[1, 3, 42, 56])]),
    "clip": ("CLIPModel", "CLIP", dict(text_config=dict(TEXT, eos_token_id=98, bos_token_id=97, pad_token_id=98), vision_config=WIDE, projection_dim=24), [dict(pixels=[2, 3, 32, 32], ids=CLIP_IDS)]),
    "siglip": ("SiglipModel", "Siglip", dict(text_config=TEXT, vision_config=SMALL), [dict(pixels=[2, 3, 32, 32], ids=SIGLIP_IDS)]),
    "llava": ("LlavaForConditionalGeneration", "Llava", LLAVA, [dict(pixels=[1, 3, 32, 32], ids=LLAVA_IDS), dict(ids=TEXT_IDS)]),
    "llava-mistral": ("LlavaForConditionalGeneration", "Llava", LLAVA_MISTRAL, [dict(pixels=[1, 3, 32, 32], ids=LLAVA_IDS), dict(ids=TEXT_IDS)]),
    "llava-qwen2": ("LlavaForConditionalGeneration", "Llava", LLAVA_QWEN2, [dict(pixels=[1, 3, 32, 32], ids=LLAVA_IDS), dict(ids=TEXT_IDS)]),
    "idefics3": ("Idefics3ForConditionalGeneration", "Idefics3", tiles("idefics3_vision"), [dict(pixels=[1, 1, 3, 32, 32], ids=IDEFICS_IDS), dict(ids=TEXT_IDS)]),
    "smolvlm": ("SmolVLMForConditionalGeneration", "SmolVLM", tiles("smolvlm_vision"), [dict(pixels=[1, 1, 3, 32, 32], ids=IDEFICS_IDS), dict(ids=TEXT_IDS)]),
    "qwen2_vl": ("Qwen2VLForConditionalGeneration", "Qwen2VL", QWEN2_VL, [dict(pixels=[16, 96], ids=QWEN_IDS, grid=[[1, 4, 4]]), dict(ids=TEXT_IDS)]),
    "paligemma": ("PaliGemmaForConditionalGeneration", "PaliGemma", PALIGEMMA, [dict(pixels=[1, 3, 32, 32], ids=PALI_IDS, prefix=20), dict(pixels=[1, 3, 32, 32], ids=PALI_IDS, prefix=18)]),
}

# By case and run: name of a result, where in it, and its first numbers as a reading of the equations gave them in numpy,
# without transformers. Then numbers of the residual: tower, stage, row.
KNOWN = {
    ("vit", 0): [("logits", [0], [-0.183725, -0.328250, 0.503505, -0.820462, -0.138334])],
    ("vit", 1): [("logits", [0], [-0.005916, -0.231095, 0.762435, -0.905406, -0.017907])],
    ("deit-teacher", 0): [
        ("cls_logits", [0], [0.386683, -0.983923, -0.124113, 0.442043, -0.349496]),
        ("distillation_logits", [0], [-0.149886, -1.355375, -0.249143, 0.757647, 0.182926]),
        ("logits", [0], [0.118398, -1.169649, -0.186628, 0.599845, -0.083285]),
    ],
    ("convnext", 0): [("logits", [0], [-1.253711, -0.712760, -0.230280, 0.022886, -0.858212])],
    ("convnext", 1): [("logits", [0], [-2.077375, -0.144887, 0.019720, -0.054540, -1.622436])],
    ("convnextv2", 0): [("logits", [0], [0.194836, -0.803698, -1.419474, -1.577176, -0.445837])],
    ("dinov2", 0): [("logits", [0], [-0.259118, -0.676487, 0.763627, 0.686011, -0.926812])],
    ("dinov2", 1): [("logits", [0], [-0.186295, 0.329097, 0.576805, 1.044958, -0.679550])],
    ("clip", 0): [
        ("logits_per_image", [0], [0.137499, 0.271860]),
        ("logits_per_image", [1], [0.030178, 0.363909]),
        ("text_embeds", [0], [0.159868, 0.430144, 0.479824]),
        ("image_embeds", [0], [0.103658, -0.018947, 0.439975]),
    ],
    ("siglip", 0): [
        ("logits_per_image", [0], [0.069084, 0.076384]),
        ("logits_per_image", [1], [0.005093, 0.007873]),
        ("image_embeds", [0], [-0.107334, 0.013535, -0.177709]),
    ],
    ("llava", 0): [
        ("logits", [0, -1], [-1.037771, 1.386561, -0.562276, 0.390922, 0.233662]),
        ("logits", [0, 3], [0.482297, -0.753169, 1.080697]),
    ],
    ("idefics3", 0): [("logits", [0, -1], [0.542588, -0.622268, 0.004467, -0.187710, -0.279794])],
    ("smolvlm", 0): [("logits", [0, -1], [0.542588, -0.622268, 0.004467, -0.187710, -0.279794])],
    ("qwen2_vl", 0): [("logits", [0, -1], [0.031317, 0.026685, -0.911758, -0.839397, -0.071051])],
    ("paligemma", 0): [("logits", [0, -1], [2.066661, 0.153627, -1.461096, -1.477047, 1.309443])],
}
KNOWN_RESIDUALS = {("vit", 0): [("vision", 0, 0, [-0.614094, 0.624491, -0.423497]), ("vision", 1, 1, [-0.650862, -0.971260, -0.208947])]}
KNOWN_SIZES = {
    "vit": (40, 24069), "deit-teacher": (43, 24298), "convnext": (65, 31925), "convnextv2": (70, 32653), "dinov2": (45, 36677),
    "clip": (78, 70945), "siglip": (88, 54242), "llava": (80, 96048), "idefics3": (59, 80464), "smolvlm": (59, 80464),
    "qwen2_vl": (58, 67264), "paligemma": (59, 46304),
}  # fmt: skip
TOLERANCE = 2e-5

# Names of LLaVA's tensors that other files have, by the beginnings that 5.24.0 writes.
RENAMES = [
    {"vision_tower.": "vision_tower.vision_model."},
    {
        "language_model.model.": "model.language_model.",
        "language_model.lm_head.": "lm_head.",
        "vision_tower.": "model.vision_tower.vision_model.",
        "multi_modal_projector.": "model.multi_modal_projector.",
    },
    {
        "language_model.model.": "model.language_model.",
        "language_model.lm_head.": "lm_head.",
        "vision_tower.": "model.vision_tower.",
        "multi_modal_projector.": "model.multi_modal_projector.",
    },
]


class Lcg:
    """s ← (1664525·s + 1013904223) mod 2³²; u = s/2³²·2 − 1."""

    def __init__(self, seed):
        self.s = seed

    def take(self, count):
        values = np.empty(count)
        s = self.s
        for i in range(count):
            s = (1664525 * s + 1013904223) % 2**32
            values[i] = s / 2**32 * 2 - 1
        self.s = s
        return values


SCALES = (".weight", "lambda1", "layer_scale_parameter")


def filled(rng, name, shape):
    u = rng.take(math.prod(shape)).reshape(shape)
    if len(shape) == 0 or (len(shape) == 1 and name.endswith(SCALES)):
        values = 1 + 0.1 * u
    elif len(shape) == 1:
        values = 0.1 * u
    elif shape[0] == 1:
        values = 0.5 * u
    else:
        values = u * 1.5 / math.sqrt(math.prod(shape[1:]))
    return np.asarray(values, dtype=np.float32)


def pixels_of(shape):
    return (1.5 * Lcg(SEED_OF_PIXELS).take(math.prod(shape))).astype(np.float32).reshape(shape)


def digest(arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def short(values):
    """Nested lists of the shortest decimals that are these float32 numbers."""
    if isinstance(values, torch.Tensor):
        values = values.detach().numpy()
    if values.ndim == 0:
        return float(str(values))
    return [short(value) for value in values]


def tower_of(path):
    return "vision" if "vis" in path else "text" if "text_model.encoder" in path else "language"


BLOCKS = ("ViTLayer", "DeiTLayer", "ConvNextLayer", "ConvNextV2Layer", "Dinov2Layer", "EncoderLayer", "DecoderLayer", "Qwen2VLVisionBlock")


def watch(model, classifier):
    """The residual of each tower, collected as the model runs: [what the first block reads, what each block writes …]."""
    residuals = {}
    for path, module in model.named_modules():
        if not type(module).__name__.endswith(BLOCKS):
            continue
        tower = "vision" if classifier else tower_of(path)

        def before(_, args, kwargs, tower=tower):
            if not residuals.get(tower):
                residuals[tower] = [args[0] if args else kwargs["hidden_states"]]

        def after(_, args, output, tower=tower):
            residuals[tower].append(output[0] if isinstance(output, tuple) else output)

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)
    return residuals


def rows_of(x):
    """Of the first sample: shape of the residual as rows, three of them, and the mean square of all."""
    x = x.permute(0, 2, 3, 1) if x.ndim == 4 else x[None] if x.ndim == 2 else x
    rows = x[0].reshape(-1, x.shape[-1])
    return dict(shape=list(x.shape), rows=[short(rows[r][:NUMBERS]) for r in ROWS], meanSquare=float((x.double() ** 2).mean()))


def run_of(model, residuals, run):
    run = dict(run)
    residuals.clear()
    args = {}
    pixels, ids, grid, prefix = (run.pop(key, None) for key in ("pixels", "ids", "grid", "prefix"))
    if pixels:
        args["pixel_values"] = torch.from_numpy(pixels_of(pixels))
    if ids:
        args["input_ids"] = torch.tensor(ids)
    if grid:
        args["image_grid_thw"] = torch.tensor(grid)
        args["mm_token_type_ids"] = (args["input_ids"] == model.config.image_token_id).long()
    if prefix:
        args["token_type_ids"] = (torch.arange(len(ids[0])) >= prefix).long()[None]
    features = {}
    handles = []
    for path, module in model.named_modules():
        if path.endswith(("multi_modal_projector", "connector", "visual.merger")):
            handles.append(module.register_forward_hook(lambda _, args, output: features.update(rows=output)))
    with torch.no_grad():
        output = model(**args, **run)
    for handle in handles:
        handle.remove()
    results = {key: output[key] for key in ("logits", "cls_logits", "distillation_logits", "logits_per_image", "text_embeds", "image_embeds") if output.get(key) is not None}
    if "rows" in features:
        rows = features["rows"]
        results["image_features"] = rows.reshape(-1, rows.shape[-1])
    given = dict(pixels=pixels, sha256=digest([pixels_of(pixels)]) if pixels else None, ids=ids, grid=grid, prefix=prefix, interpolate=bool(run) or None)
    record = dict(input={key: value for key, value in given.items() if value is not None})
    record["residuals"] = {tower: [rows_of(x) for x in list_] for tower, list_ in residuals.items()}
    if results.get("logits") is not None and results["logits"].ndim == 3:
        T = results["logits"].shape[1]
        at = sorted({1, min(3, T - 2), T // 2, T - 1})
        record["logitRows"] = {str(t): short(results["logits"][0, t]) for t in at}
    record["outputs"] = {k: short(v) for k, v in results.items() if v.ndim < 3}
    return record, results


def compare(what, got, expected):
    worst = np.abs(got.numpy()[: len(expected)] - expected).max()
    if not worst <= TOLERANCE:
        sys.exit(f"{what}: {short(got[: len(expected)])} is {worst} from {expected}")
    return worst


def check_rename(model_class, tensors, config, rename, run, expected):
    """The same model under other names: beginnings by what they become. The first that fits is replaced."""
    def renamed(name):
        old = next((old for old in rename if name.startswith(old)), None)
        return name if old is None else rename[old] + name[len(old) :]

    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        save_file({renamed(name): value for name, value in tensors.items()}, pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model, info = model_class.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
    if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        sys.exit(f"{rename}: {info}")
    record, _ = run_of(model.eval(), {}, run)
    if record["logitRows"] != expected["logitRows"]:
        sys.exit(f"{rename}: other logits")
    return rename


def write_case(name):
    class_name, config_name, config, runs = CASES[name]
    model_class = getattr(transformers, class_name)
    model = model_class(getattr(transformers, config_name + "Config")(**config))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = pathlib.Path(folder) / "model.safetensors"
        shapes = {key: list(value.shape) for key, value in load_file(file).items()}
        rng = Lcg(SEED_OF_WEIGHTS)
        tensors = {key: filled(rng, key, shapes[key]) for key in sorted(shapes, key=str.encode)}
        save_file(tensors, file, metadata={"format": "pt"})
        model, info = model_class.from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
        saved = json.loads((pathlib.Path(folder) / "config.json").read_text())
    # A name that transformers does not know, or leaves out, would be filled by chance.
    if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        sys.exit(f"{name}: {info}")
    model.eval()
    count = sum(value.size for value in tensors.values())
    if (len(tensors), count) != KNOWN_SIZES.get(name, (len(tensors), count)):
        sys.exit(f"{name}: {len(tensors)} tensors, {count} parameters; expected {KNOWN_SIZES[name]}")
    residuals = watch(model, "For" + CLASSIFIER in class_name)
    records = []
    worst = 0
    for at, run in enumerate(runs):
        record, results = run_of(model, residuals, run)
        for key, where, expected in KNOWN.get((name, at), []):
            worst = max(worst, compare(f"{name} {at} {key}{where}", results[key][tuple(where)], expected))
        for tower, stage, row, expected in KNOWN_RESIDUALS.get((name, at), []):
            worst = max(worst, compare(f"{name} {at} residual", residuals[tower][stage][0, row], expected))
        records.append(record)
    golden = dict(config=saved, tensors=[[key, list(value.shape)] for key, value in tensors.items()], sha256=digest(tensors.values()), runs=records)
    if class_name.startswith("Llava"):
        golden["renames"] = [check_rename(model_class, tensors, saved, rename, runs[0], records[0]) for rename in RENAMES]
    OUT.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    (OUT / f"{name}.json").write_text("{\n" + lines + "\n}\n")
    towers = {tower: len(list_) - 1 for tower, list_ in records[0]["residuals"].items()}
    print(f"{name}: {len(tensors)} tensors, {count} parameters, blocks {towers}, {worst:.1e} from the known numbers", flush=True)


def main():
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    for name in sys.argv[1:] or CASES:
        write_case(name)


if __name__ == "__main__":
    main()
