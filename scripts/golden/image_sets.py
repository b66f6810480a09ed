"""Writes test/golden/images/sets: small data sets as other programs write them, of the images of preprocess.py.

  pip install pyarrow && python scripts/golden/image_sets.py

images.parquet  five rows in two row groups: image struct {bytes, path}, label int64 (Hugging Face's names in the metadata), question,
                answers; snappy
binary.parquet  two rows: image as bytes, label as text
pax.tar         Python's tarfile, pax: a name of 150 characters and one that is not ASCII, a folder and a link among the members
gnu.tar         the same, GNU's format
"""

import io
import json
import pathlib
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

IMAGES = pathlib.Path(__file__).parents[2] / "test/golden/images/files"
OUT = IMAGES.parent / "sets"
OUT.mkdir(exist_ok=True)
NAMES = ["jpeg-444.jpg", "png-rgb.png", "webp-lossy.webp", "jpeg-grey.jpg", "png-palette-4.png"]
data = [(IMAGES / name).read_bytes() for name in NAMES]


def parquet():
    image = pa.array([{"bytes": b, "path": n} for b, n in zip(data, NAMES)], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["tench", "goldfish", "great white shark"], "_type": "ClassLabel"},
    }
    table = pa.table(
        {
            "image": image,
            "label": pa.array([2, 0, 1, 0, 2], pa.int64()),
            "question": [f"What is in picture {i}?" for i in range(5)],
            "answers": [["a fish"], ["fish", "a tench"], ["one"], ["grey"], ["a shark"]],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, OUT / "images.parquet", compression="snappy", row_group_size=3)
    binary = pa.table({"image": pa.array(data[:2], pa.binary()), "label": ["cat", "dog"]})
    pq.write_table(binary, OUT / "binary.parquet", compression="snappy")


def tar(name, format):
    with tarfile.open(OUT / name, "w", format=format) as out:

        def add(member, body=b"", **fields):
            info = tarfile.TarInfo(member)
            info.size = len(body)
            for key, value in fields.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(body))

        add("images", type=tarfile.DIRTYPE)
        add("images/a.b.png", data[1])
        add("images/a.cls", b"1\n")
        add("images/link", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        add("l" * 140 + "/two.jpg", data[0])
        add("l" * 140 + "/two.cls", b"0")
        add("bäume.webp", data[2])
        add("bäume.json", json.dumps({"label": 1, "question": "Which tree?", "answer": "oak"}).encode())
        add("bäume.notes", b"not read")


parquet()
tar("pax.tar", tarfile.PAX_FORMAT)
tar("gnu.tar", tarfile.GNU_FORMAT)
