"""Writes test/golden/packed.safetensors: small matrices, and what docs/reference/format.md makes of them, written from that page alone.

  pip install numpy safetensors && python scripts/golden/packed.py

<case>.weights   F32 [rows, columns]
<case>.<part>    U8, the bytes of each part of the layout; <case> is <values>-<layout>, layout dense, fixed, sorted or rows
"""

import math
import pathlib

import numpy
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).parents[2] / "test/golden/packed.safetensors"
ROWS, COLUMNS = 19, 200


def rounded(value):
    """Halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def quantise_int8(W):
    scales = numpy.array([numpy.float32(numpy.abs(row.astype(numpy.float64)).max() / 127) for row in W])
    q = [[rounded(float(w) / float(s)) if s else 0 for w in row] for row, s in zip(W, scales)]
    return numpy.array(q, numpy.int8), scales


def half(value):
    return float(numpy.float16(numpy.float32(value)))


SHRINK = {
    4: (1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7),
    3: (1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5),
    2: (1, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3),
}


def quantise_small(W, bits):
    L = 2 ** (bits - 1)
    groups = -(-W.shape[1] // 128)
    q = numpy.zeros(W.shape, numpy.int8)
    scales = numpy.zeros((W.shape[0], groups), numpy.float16)
    for r, row in enumerate(W):
        for g in range(groups):
            w = [float(x) for x in row[g * 128 : (g + 1) * 128]]

            def whole(scale):
                return [max(-L, min(L - 1, rounded(x / scale))) for x in w]

            def error(scale):
                total = 0.0
                for x, k in zip(w, whole(scale)):
                    if x != 0:
                        total += (x - scale * k) * (x - scale * k)
                return total

            largest = max(abs(x) for x in w)
            sizes = [largest / (L - 1)] + [f * largest / L for f in SHRINK[bits]]
            candidates = [half(sign * size) for size in sizes for sign in (1, -1)]
            candidates = [scale for scale in candidates if scale != 0]
            if not candidates:
                continue
            best = min(candidates, key=error)  # the first of equals
            products, squares = 0.0, 0
            for x, n in zip(w, whole(best)):
                products += x * n
                squares += n * n
            if squares and half(products / squares) != 0 and error(half(products / squares)) < error(best):
                best = half(products / squares)
            q[r, g * 128 : (g + 1) * 128] = whole(best)
            scales[r, g] = best
    return q, scales


def scale_part(scales):
    """int8: float32, rows rounded up to 8. int4: float16 [row group, column group, 8]."""
    groups = -(-scales.shape[0] // 8)
    padded = numpy.zeros((groups * 8, *scales.shape[1:]), scales.dtype)
    padded[: scales.shape[0]] = scales
    if scales.ndim == 2:
        padded = padded.reshape(groups, 8, scales.shape[1]).transpose(0, 2, 1)
    return numpy.frombuffer(padded.tobytes(), numpy.uint8)


ORDER = (0, 2, 1, 3)


def four(tile, slots, int8):
    """`slots` is [8 rows][4] of (column, value)."""
    if not int8:
        for upper in (0, 4):
            for r in range(4):
                for i in range(4):
                    column, value = slots[upper + r][ORDER[i]]
                    tile.append((value & 15) << 4 | column)
        return
    for r in range(4):
        for i in range(4):
            tile.append(slots[r][ORDER[i]][0] | slots[4 + r][ORDER[i]][0] << 4)
    for upper in (0, 4):
        for odd in (0, 1):
            for r in range(4):
                for i in (odd, odd + 2):
                    tile.append(slots[upper + r][ORDER[i]][1] & 255)


def two(tile, slots, int8):
    if int8:
        tile.extend(slots[r][s][0] | slots[4 + r][s][0] << 4 for r in range(4) for s in range(2))
        tile.extend(slots[upper + r][s][1] & 255 for upper in (0, 4) for r in range(4) for s in range(2))
    else:
        for r in range(4):
            for s in range(2):
                for upper in (0, 4):
                    column, value = slots[upper + r][s]
                    tile.append((value & 15) << 4 | column)


def one(tile, slots, int8):
    if int8:
        tile.extend(slots[2 * i][0][0] | slots[2 * i + 1][0][0] << 4 for i in range(4))
        tile.extend(slots[r][0][1] & 255 for r in range(8))
    else:
        tile.extend((slots[r][0][1] & 15) << 4 | slots[r][0][0] for r in range(8))


def tile_bytes(block, n, int8):
    """block: int8 [8, 16] with at most n nonzeros a row."""
    slots = []
    for row in block:
        used = [(c, int(v)) for c, v in enumerate(row) if v != 0]
        slots.append(used + [(0, 0)] * (n - len(used)))
    tile = []
    at = 0
    while n - at >= 4:
        four(tile, [row[at : at + 4] for row in slots], int8)
        at += 4
    if n - at >= 2:
        two(tile, [row[at : at + 2] for row in slots], int8)
        at += 2
    if n - at == 1:
        one(tile, [row[at:] for row in slots], int8)
    assert len(tile) == (12 if int8 else 8) * n
    return bytes(tile)


def blocks_of(q):
    rows, columns = -(-q.shape[0] // 8) * 8, -(-q.shape[1] // 16) * 16
    padded = numpy.zeros((rows, columns), numpy.int8)
    padded[: q.shape[0], : q.shape[1]] = q
    return [[padded[r : r + 8, c : c + 16] for c in range(0, columns, 16)] for r in range(0, rows, 8)]


def fullest(block):
    return int((block != 0).sum(1).max())


def fixed(q, int8):
    groups = blocks_of(q)
    n = max(fullest(block) for group in groups for block in group)
    return {"tiles": b"".join(tile_bytes(block, n, int8) for group in groups for block in group)}


def sorted_tiles(q, int8):
    starts, counts, order, tiles = [], [], [], b""
    for group in blocks_of(q):
        starts += [len(order), len(tiles) // 4]
        needs = [fullest(block) for block in group]
        counts += [needs.count(n) for n in range(1, 17)]
        for n, place in sorted((n, place) for place, n in enumerate(needs) if n > 0):
            order.append(place)
            tiles += tile_bytes(group[place], n, int8)
    starts += [len(order), len(tiles) // 4]
    return {
        "starts": numpy.array(starts, numpy.uint32).tobytes(),
        "counts": numpy.array(counts, numpy.uint16).tobytes(),
        "order": numpy.array(order, numpy.uint16).tobytes(),
        "tiles": tiles,
    }


def dense(q, int8):
    multiple = 16 if int8 else 32
    rows, columns = -(-q.shape[0] // 8) * 8, -(-q.shape[1] // multiple) * multiple
    padded = numpy.zeros((rows, columns), numpy.int8)
    padded[: q.shape[0], : q.shape[1]] = q
    values = b""
    for group in range(0, rows, 8):
        for first in range(0, columns, multiple):
            for row in padded[group : group + 8, first : first + multiple]:
                if int8:
                    values += row.tobytes()
                    continue
                lanes = [sum((int(row[8 * k + lane]) & 15) << 4 * k for k in range(4)) for lane in range(8)]
                values += numpy.array(lanes, numpy.uint16).tobytes()
    return {"values": values}


def masked(q):
    """int4 with eight slots."""
    tiles = b""
    for group in blocks_of(q):
        for block in group:
            masks, values = [], []
            for row in block:
                zeros = [c for c in range(16) if row[c] == 0]
                used = sorted([c for c in range(16) if row[c] != 0] + zeros[: 8 - (16 - len(zeros))])
                masks.append(sum(1 << c for c in used))
                values += [int(row[used[i]]) & 15 | (int(row[used[i + 1]]) & 15) << 4 for i in range(0, 8, 2)]
            tiles += numpy.array(masks, numpy.uint16).tobytes() + bytes(values)
    return {"tiles": tiles}


def few(q, bits):
    rows, columns = -(-q.shape[0] // 8) * 8, -(-q.shape[1] // 128) * 128
    padded = numpy.zeros((rows, columns), numpy.int64)
    padded[: q.shape[0], : q.shape[1]] = q
    fields = padded + (4 if bits == 3 else 2)
    values = bytearray()
    for group in range(0, rows, 8):
        for first in range(0, columns, 32):
            vectors = numpy.zeros((bits, 8, 4), numpy.int64)
            for row in range(8):
                for b in range(4):
                    f = [int(fields[group + row, first + 4 * s + b]) for s in range(8)]
                    if bits == 2:
                        for v in range(2):
                            vectors[v, row, b] = sum(f[4 * v + k] << 2 * k for k in range(4))
                    else:
                        for v in range(3):
                            vectors[v, row, b] = f[2 * v] | f[2 * v + 1] << 3
                        vectors[0, row, b] |= (f[6] & 3) << 6
                        vectors[1, row, b] |= (f[7] & 3) << 6
                        vectors[2, row, b] |= (f[6] >> 2) << 6 | (f[7] >> 2) << 7
            values += vectors.astype(numpy.uint8).tobytes()
    return {"values": bytes(values)}


def rows_f32(W):
    offsets = numpy.concatenate([[0], numpy.cumsum((W != 0).sum(1))]).astype(numpy.uint32)
    return {
        "offsets": offsets.tobytes(),
        "columns": numpy.concatenate([numpy.flatnonzero(row) for row in W]).astype(numpy.uint16).tobytes(),
        "values": W[W != 0].tobytes(),
    }


def n_of_16(rng, kept):
    W = rng.standard_normal((ROWS, COLUMNS)).astype(numpy.float32)
    for row in W:
        for c in range(0, COLUMNS, 16):
            part = row[c : c + 16]
            part[numpy.argsort(numpy.abs(part), kind="stable")[: max(0, len(part) - kept)]] = 0
    return W


def unstructured(rng, share):
    W = rng.standard_normal((ROWS, COLUMNS)).astype(numpy.float32)
    W[rng.random(W.shape) < share] = 0
    W[0, 16:32] = rng.standard_normal(16)  # a full row of a tile, so that fixed tiles would be absurd
    W[8:16, 32:48] = 0  # a tile without weights
    W[3] = 0  # a row without weights
    W[5, 7], W[6, 100] = 1e-30, -0.0  # too small for any scale; minus zero
    return W


def main():
    rng = numpy.random.default_rng(4)
    weights = {"fixed": n_of_16(rng, 7), "sorted": unstructured(rng, 0.7), "dense": unstructured(rng, 0.1)}
    out = {}
    for values, quantise in (("int8", quantise_int8), ("int4", lambda W: quantise_small(W, 4))):
        for layout, encode in (("fixed", fixed), ("sorted", sorted_tiles), ("dense", dense)):
            W = weights[layout]
            q, scales = quantise(W)
            case = f"{values}-{layout}"
            out[f"{case}.weights"] = W
            for name, part in encode(q, values == "int8").items():
                out[f"{case}.{name}"] = numpy.frombuffer(part, numpy.uint8)
            out[f"{case}.scales"] = scale_part(scales)
    W = weights["fixed"]
    q, scales = quantise_small(W, 4)
    out["int4-mask.weights"] = W
    out["int4-mask.tiles"] = numpy.frombuffer(masked(q)["tiles"], numpy.uint8)
    out["int4-mask.scales"] = scale_part(scales)
    for bits in (3, 2):
        W = weights["dense"]
        q, scales = quantise_small(W, bits)
        out[f"int{bits}-dense.weights"] = W
        for name, part in few(q, bits).items():
            out[f"int{bits}-dense.{name}"] = numpy.frombuffer(part, numpy.uint8)
        out[f"int{bits}-dense.scales"] = scale_part(scales)
    W = weights["sorted"]
    out["f32-rows.weights"] = W
    for name, part in rows_f32(W).items():
        out[f"f32-rows.{name}"] = numpy.frombuffer(part, numpy.uint8)
    save_file(out, OUT)


main()
