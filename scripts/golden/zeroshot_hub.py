"""The made-up items of test/golden/zeroshot/items as the Hub has each task's data set today: the same columns, types and order,
as JSON lines and as Parquet, in test/golden/zeroshot/hub/. The data sets are those that docs/reference/tasks.md names.

  pip install pyarrow && python scripts/golden/zeroshot_hub.py
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

GOLDEN = pathlib.Path(__file__).parents[2] / "test" / "golden" / "zeroshot"
TEXT, WHOLE, SMALL, TEXTS = pa.string(), pa.int64(), pa.int32(), pa.list_(pa.string())
CHOICES = pa.struct({"text": TEXTS, "label": TEXTS})

SCHEMAS = {
    "boolq": {"question": TEXT, "passage": TEXT, "idx": SMALL, "label": WHOLE},
    "piqa": {"goal": TEXT, "sol1": TEXT, "sol2": TEXT, "label": WHOLE},
    "hellaswag": {
        "ind": SMALL,
        "activity_label": TEXT,
        "ctx_a": TEXT,
        "ctx_b": TEXT,
        "ctx": TEXT,
        "endings": TEXTS,
        "source_id": TEXT,
        "split": TEXT,
        "split_type": TEXT,
        "label": TEXT,
    },
    "winogrande": {"sentence": TEXT, "option1": TEXT, "option2": TEXT, "answer": TEXT},
    "arc_easy": {"id": TEXT, "question": TEXT, "choices": CHOICES, "answerKey": TEXT},
    "arc_challenge": {"id": TEXT, "question": TEXT, "choices": CHOICES, "answerKey": TEXT},
    "openbookqa": {"id": TEXT, "question_stem": TEXT, "choices": CHOICES, "answerKey": TEXT},
    "rte": {"sentence1": TEXT, "sentence2": TEXT, "label": WHOLE, "idx": SMALL},
    "lambada_openai": {"text": TEXT},
    "mmlu": {"question": TEXT, "subject": TEXT, "choices": TEXTS, "answer": WHOLE},
}


def as_hub(task, item, index):
    item = dict(item)
    if task == "boolq":
        if "title" in item:
            item["passage"] = f"{item['title']} -- {item['passage']}"
        if "answer" in item:
            item["label"] = int(item["answer"])
    if task == "hellaswag":
        item["ctx"] = f"{item['ctx_a']} {item['ctx_b']}".strip()
        item["label"] = str(item["label"])
        item |= {"source_id": "made~up", "split": "val", "split_type": "indomain"}
    item.setdefault("idx", index)
    return {name: item[name] for name in SCHEMAS[task]}


for form in ("lines", "parquet"):
    (GOLDEN / "hub" / form).mkdir(parents=True, exist_ok=True)
for task, schema in SCHEMAS.items():
    [source] = [path for end in ("", ".validation") if (path := GOLDEN / "items" / f"{task}{end}.jsonl").exists()]
    items = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    # Of HellaSwag the items that were cleaned already are not the Hub's.
    rows = [as_hub(task, item, i) for i, item in enumerate(items) if "query" not in item]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (GOLDEN / "hub" / "lines" / f"{task}.jsonl").write_text(lines, encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(schema.items()))), GOLDEN / "hub" / "parquet" / f"{task}.parquet")
