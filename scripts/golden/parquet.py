"""Writes test/golden/text/documents.parquet: three documents, Snappy, in a column `text` beside another one; and
sentences.parquet: two sentences as the Hub's conversion of the Penn Treebank has them, in a column `sentence`; and
latin1.parquet: a column `text` whose second row is not UTF-8, as writers that check nothing leave it.

  pip install pyarrow && python scripts/golden/parquet.py
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(__file__).parents[2] / "test/golden/text"
table = pa.table({"id": [1, 2, 3], "text": ["First document.", "Zweites Dokument, ÄÖÜ.", "third\nwith two lines"]})
pq.write_table(table, out / "documents.parquet", compression="snappy")
sentences = ["no it was n't black monday", "but while the new york stock exchange <unk>"]
pq.write_table(pa.table({"sentence": sentences}), out / "sentences.parquet", compression="snappy")
broken = pa.array([b"caf\xc3\xa9", b"one caf\xe9 more"], pa.binary()).view(pa.string())
pq.write_table(pa.table({"text": broken}), out / "latin1.parquet", compression="snappy")
