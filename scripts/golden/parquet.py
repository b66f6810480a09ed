"""Writes test/golden/text/documents.parquet: three documents, Snappy, in a column `text` beside another one.

  pip install pyarrow && python scripts/golden/parquet.py
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(__file__).parents[2] / "test/golden/text/documents.parquet"
table = pa.table({"id": [1, 2, 3], "text": ["First document.", "Zweites Dokument, ÄÖÜ.", "third\nwith two lines"]})
pq.write_table(table, out, compression="snappy")
