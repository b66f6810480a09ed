"""Judges src/gguf/quantise*.ts by gguf-py and by ggml's own quantisers, and prints a table. Run by hand, after npm run build:

    python scripts/golden/gguf_quantise.py [libggml-base.so]

For weights of several kinds: the relative squared error of our blocks as gguf-py reads them, of gguf-py's blocks (Q8_0, Q4_0)
and of ggml's (all; node-llama-cpp's package has the library), and how many zeros stay zeros. Ours must not be worse than
gguf-py's in any row. Needs gguf, numpy, node.
"""

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
T = gguf.GGMLQuantizationType
TYPES = [T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q6_K, T.Q4_K, T.Q3_K, T.Q2_K]

NODE = """
import { readFileSync, writeFileSync } from 'node:fs';
import { quantise } from '%s/dist/gguf/index.js';
const [, , input, ...outputs] = process.argv;
const W = new Float32Array(readFileSync(input).buffer.slice(0));
for (const path of outputs) writeFileSync(path, quantise('w', W, path.split('.').at(-1)));
"""


def kinds():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((64, 1024)).astype(np.float32) * 0.05
    heavy = (rng.standard_t(3, (64, 1024)) * 0.02).astype(np.float32)
    sparse = np.where(rng.random((64, 1024)) < 0.6, 0, normal).astype(np.float32)
    skewed = (np.abs(normal) + 0.01).astype(np.float32)
    tiny = normal * np.float32(1e-6)
    some = sparse.copy()
    some[:, :512] = 0
    return {"normal": normal, "heavy tails": heavy, "60 % zeros": sparse, "positive": skewed, "tiny": tiny, "zero blocks": some}


def ours(W, folder):
    (folder / "run.mjs").write_text(NODE % ROOT)
    (folder / "w").write_bytes(W.tobytes())
    paths = {t: folder / f"out.{t.name}" for t in TYPES}
    subprocess.run(["node", folder / "run.mjs", folder / "w", *paths.values()], check=True)
    return {t: np.frombuffer(p.read_bytes(), np.uint8) for t, p in paths.items()}


def ggml(library, W, t):
    rows, columns = W.shape
    block, size = gguf.GGML_QUANT_SIZES[t]
    out = np.zeros(W.size // block * size, np.uint8)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    pointer = lambda a: a.ctypes.data_as(ctypes.c_void_p)
    library.ggml_quantize_chunk(int(t), pointer(W), pointer(out), ctypes.c_int64(0), ctypes.c_int64(rows), ctypes.c_int64(columns), None)
    return out


def main():
    library = ctypes.CDLL(sys.argv[1]) if len(sys.argv) > 1 else None
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        for kind, W in kinds().items():
            made = ours(W, Path(name))
            size = float((W.astype(np.float64) ** 2).sum())
            for t in TYPES:
                def judge(data):
                    back = gguf.quants.dequantize(data.reshape(W.shape[0], -1), t).astype(np.float64)
                    error = ((back - W) ** 2).sum() / size
                    return error, int(((W == 0) & (back != 0)).sum())
                row = {"kind": kind, "type": t.name, "ours": judge(made[t])}
                try:
                    row["gguf-py"] = judge(gguf.quants.quantize(W, t).view(np.uint8).reshape(-1))
                    worst = max(worst, row["ours"][0] / max(row["gguf-py"][0], 1e-300))
                except NotImplementedError:
                    pass
                if library:
                    row["ggml"] = judge(ggml(library, W, t))
                print(json.dumps(row))
    print("largest of ours / gguf-py:", worst)


main()
