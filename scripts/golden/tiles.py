"""Writes test/golden/images/tiles.json: what transformers' processor of Idefics3 and SmolVLM makes of images and of the text about
them, and what a tiny model answers. Images, weights and the tokenizer follow from rules, so that only results are stored.
  pixels    for each preprocessor_config.json and each size of an image: rows and columns of tiles, the SHA-256 of all squares' uint8
            pixels [squares, H, W, 3] and of the float32 tensor [squares, 3, H, W], by the PIL backend; and how far the torchvision
            backend is from it in grey levels, at most and on average
  dialogues for each processor and chat template: the tokens of a question and its answer about images of several sizes
  model     a tiny idefics3: logits of the rows that predict the answer, with split images

  pip install torch torchvision transformers==5.24.0 "pillow<13" numpy safetensors num2words && python scripts/golden/tiles.py
"""

import hashlib
import json
import logging
import pathlib
import sys
import tempfile

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from vision import SEED_OF_WEIGHTS, Lcg, digest, filled, short

OUT = pathlib.Path(__file__).parents[2] / "test/golden/images/tiles.json"

sha = lambda array: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def picture(width, height):
    """Bytes ⌊(u + 1)·128⌋ of the generator with the width as its seed, row by row, averaged with a ramp."""
    u = Lcg(width).take(width * height * 3).reshape(height, width, 3)
    noise = np.floor((u + 1) * 128).astype(np.int64)
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([(5 * x) % 256, (7 * y) % 256, (3 * x + 2 * y) % 256], -1)
    return Image.fromarray(((noise + ramp) // 2).astype(np.uint8))


def edges(size, tile):
    return {"size": {"longest_edge": size}, "max_image_size": {"longest_edge": tile}}


SMALL = edges(96, 32)
SIZES = [(64, 64), (90, 40), (33, 71), (5, 3), (1, 1), (32, 32), (200, 20), (1, 150), (97, 96)]
CONFIGS = {
    "small": (SMALL, SIZES),
    "not split": ({**SMALL, "do_image_splitting": False}, SIZES),
    "one tile": (edges(32, 32), SIZES),
    "below a tile": (edges(20, 32), SIZES),
    "odd edge": (edges(33, 16), SIZES),
    "not resized": ({**SMALL, "do_resize": False}, SIZES),
    "by height and width": ({**SMALL, "size": {"height": 50, "width": 70}}, SIZES),
    "bicubic": ({**SMALL, "resample": 3}, SIZES[:3]),
    "not padded": ({**SMALL, "do_pad": False}, SIZES[:3]),
    "other norm": ({**SMALL, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "rescale_factor": 0.01}, SIZES[:3]),
    "no norm": ({**SMALL, "do_normalize": False}, SIZES[:3]),
    "above the most": (edges(4999, 1024), [(400, 10), (10, 400)]),
    "class": ({}, [(64, 48), (31, 50)]),
    "SmolVLM-256M": ({**edges(2048, 512), "resample": 1, "rescale_factor": 0.00392156862745098}, [(64, 48), (48, 64), (50, 10)]),
    "SmolVLM2-2.2B": (edges(1536, 384), [(60, 40)]),
    "Idefics3-8B": (edges(1456, 364), [(60, 45)]),
}  # fmt: skip


def squares_of(processor, image, **how):
    made = processor(image, return_row_col_info=True, return_tensors="np", **how)
    if "pixel_attention_mask" in made:
        assert made["pixel_attention_mask"].all(), "a square is not full"
    return np.asarray(made["pixel_values"])[0], made["rows"][0][0], made["cols"][0][0]


def pixels():
    cases = {}
    for name, (config, sizes) in CONFIGS.items():
        results = []
        for width, height in sizes:
            image = picture(width, height)
            processor = Idefics3ImageProcessorPil(**config)
            tensor, rows, columns = squares_of(processor, image)
            assert len(tensor) == rows * columns + 1
            raw, *_ = squares_of(processor, image, do_rescale=False, do_normalize=False)
            assert raw.dtype == np.uint8 and tensor.dtype == np.float32, (raw.dtype, tensor.dtype)
            other, *_ = squares_of(SmolVLMImageProcessorPil(**config), image)
            assert (other == tensor).all(), "SmolVLM's processor makes others"
            fast = Idefics3ImageProcessor(**config)(image, return_tensors="pt", do_rescale=False, do_normalize=False)
            apart = np.abs(fast["pixel_values"][0].numpy().astype(int) - raw.astype(int))
            results.append([width, height, rows, columns, sha(raw.transpose(0, 2, 3, 1)), sha(tensor), int(apart.max()), round(float(apart.mean()), 6)])
        cases[name] = {"config": config, "images": results}
        print(name, [tuple(one[2:4]) for one in results], "torchvision:", max(one[6] for one in results), max(one[7] for one in results), flush=True)
    return cases


# A token for each byte, "\n\n" as one as in the models' tokenizers, and the marks.
MARKS = ["<unk>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>"]
MARKS += [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [dict(id=id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for id, content in enumerate(MARKS)],
    "normalizer": None,
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": {word: id for id, word in enumerate([*MARKS, *BYTES, "\n", "\n\n"])}, "merges": [["\n", "\n"]]},
}  # fmt: skip
VOCABULARY = len(MARKS) + len(BYTES) + 2
SPECIAL = {"bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "unk_token": "<unk>"}
TEMPLATE = "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
QUESTION, ANSWER = "What is it?", "a cat"
LENGTH = 4


def tokenizer():
    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(TOKENIZER)), **SPECIAL)


def processor_of(kind, config):
    common = dict(tokenizer=tokenizer(), image_seq_len=LENGTH, chat_template=TEMPLATE)
    if kind == "smolvlm":
        return transformers.SmolVLMProcessor(image_processor=SmolVLMImageProcessorPil(**config), video_processor=transformers.SmolVLMVideoProcessor(), **common)
    return transformers.Idefics3Processor(image_processor=Idefics3ImageProcessorPil(**config), **common)


def inputs_of(kind, config, width, height):
    """A question with its answer, up to the token that ends it."""
    asked = {"role": "user", "content": [{"type": "image", "image": picture(width, height)}, {"type": "text", "text": QUESTION}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    made = processor_of(kind, config).apply_chat_template([asked, said], tokenize=True, return_dict=True, return_tensors="pt")
    ids = made["input_ids"][0].tolist()
    assert ids[-2:] == [MARKS.index("<end_of_utterance>"), VOCABULARY - 2], ids[-2:]
    return {**made, "input_ids": made["input_ids"][:, :-1]}


DIALOGUES = [(kind, name, *size) for kind in ("idefics3", "smolvlm") for name in ("small", "not split") for size in [(64, 64), (90, 40), (33, 71), (5, 3), (200, 20)]]

VISION = dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)
LANGUAGE = dict(model_type="llama", vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5)


def tiny():
    """The model with its weights by the rule of vision.py, and the description that its tests read."""
    config = transformers.Idefics3Config(vision_config=dict(VISION, model_type="idefics3_vision"), text_config=LANGUAGE, image_token_id=MARKS.index("<image>"), scale_factor=2, pad_token_id=0)
    model = transformers.Idefics3ForConditionalGeneration(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = pathlib.Path(folder) / "model.safetensors"
        shapes = {key: list(value.shape) for key, value in load_file(file).items()}
        rng = Lcg(SEED_OF_WEIGHTS)
        tensors = {key: filled(rng, key, shapes[key]) for key in sorted(shapes, key=str.encode)}
        save_file(tensors, file, metadata={"format": "pt"})
        model, info = type(model).from_pretrained(folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
        saved = json.loads((pathlib.Path(folder) / "config.json").read_text())
    if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        sys.exit(str(info))
    return model.eval(), dict(config=saved, tensors=[[key, list(value.shape)] for key, value in tensors.items()], sha256=digest(tensors.values()))


def answers(model):
    runs = []
    for name in ("small", "not split"):
        for width, height in [(64, 64), (90, 40), (5, 3)]:
            inputs = inputs_of("idefics3", CONFIGS[name][0], width, height)
            with torch.no_grad():
                logits = model(**inputs).logits[0]
            answer = len(ANSWER) + 2
            nll = torch.nn.functional.cross_entropy(logits[-1 - answer : -1].double(), inputs["input_ids"][0, -answer:]).item()
            runs.append([name, width, height, nll, [short(row) for row in logits[[-1 - answer, -2], :40]]])
    return runs


def main():
    logging.disable(logging.WARNING)
    assert int(PIL.__version__.split(".")[0]) < 13, "Pillow 13 resizes tall images in another order"
    model, described = tiny()
    golden = {
        "made with": {"pillow": PIL.__version__, "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]},
        "pixels": pixels(),
        "tokenizer": TOKENIZER,
        "special": SPECIAL,
        "template": TEMPLATE,
        "dialogues": [[*case, inputs_of(case[0], CONFIGS[case[1]][0], *case[2:])["input_ids"][0].tolist()] for case in DIALOGUES],
        "model": described,
        "answers": answers(model),
    }
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in golden.items())
    OUT.write_text("{\n" + lines + "\n}\n")
    print(OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
