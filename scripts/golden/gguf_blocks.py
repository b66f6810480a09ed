"""Writes test/golden/gguf.safetensors: blocks of each type of tensor in a GGUF file, and the weights that ggml's own Python
package reads from them.

  pip install numpy gguf safetensors && python scripts/golden/gguf_blocks.py

<type>.blocks    U8, blocks of random bits, with finite scales of every size, signs included
<type>.weights   F32, what gguf.dequantize makes of them
"""

import pathlib

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/gguf.safetensors"
# The bytes of a block where a half is.
HALVES = {
    "F32": [],
    "F16": [],
    "BF16": [],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
}

rng = numpy.random.default_rng(7)
tensors = {}
for name, halves in HALVES.items():
    type = GGMLQuantizationType[name]
    weights, size = GGML_QUANT_SIZES[type]
    count = 64 if weights == 1 else 2048 // weights
    blocks = rng.integers(0, 256, (count, size), dtype=numpy.uint8)
    if name == "F32":
        blocks = rng.normal(size=(count, 1)).astype(numpy.float32).view(numpy.uint8)
    if name in ("F16", "BF16"):
        blocks[:, 1] &= 0xBF  # the exponent is below its largest, which stands for infinity and NaN
    for at in halves:
        scales = (rng.normal(size=count) * 10.0 ** rng.integers(-8, 4, count)).astype(numpy.float16)
        blocks[:, at : at + 2] = scales.reshape(-1, 1).view(numpy.uint8)
    tensors[f"{name}.blocks"] = blocks
    tensors[f"{name}.weights"] = numpy.ascontiguousarray(dequantize(blocks, type).reshape(-1).astype(numpy.float32))
save_file(tensors, OUT)
print(OUT.name, OUT.stat().st_size)
