"""lm-evaluation-harness, unmodified, through `layerwise serve` and through transformers: do they agree?

  pip install "lm_eval[api]" accelerate peft transformers torch
  layerwise serve demo/model --name demo --port 8080 &
  python scripts/peers/lm_eval_server.py http://127.0.0.1:8080 demo demo/model

Four tasks made of the demo's vocabulary, 40 questions and 10 texts, one for each kind of request: log-likelihoods of one
continuation, of several, of whole texts, and greedy text until a stop string. Prints each metric of both, and fails where two
differ by more than 1e-4 (relative), which is what float32 leaves of another order of summation.
"""

import json
import pathlib
import random
import sys
import tempfile

import lm_eval
from lm_eval.tasks import TaskManager

NAMES = ["Clara", "Ned", "Dora", "Jonas", "Hannah", "David"]
PLACES = ["mill", "barn", "bakery", "market", "orchard", "library"]
THINGS = ["lamp", "key", "cup", "box", "mirror", "spoon"]
TOLERANCE = 1e-4


def write_texts(folder):
    rng = random.Random(0)
    with open(folder / "questions.jsonl", "w") as out:
        for _ in range(40):
            name, thing, places = rng.choice(NAMES), rng.choice(THINGS), rng.sample(PLACES, 3)
            question = f"{name} was in the {places[0]}. {name} took the {thing}. Where was {name}? {name} was in the"
            out.write(json.dumps({"question": question, "choices": [f" {place}" for place in places]}) + "\n")
    with open(folder / "texts.jsonl", "w") as out:
        for _ in range(10):
            sentence = lambda: f"{rng.choice(NAMES)} took the {rng.choice(THINGS)} to the {rng.choice(PLACES)}."
            out.write(json.dumps({"text": " ".join(sentence() for _ in range(12))}) + "\n")


def tasks(folder):
    def task(name, data, **more):
        files = {"test": str(folder / f"{data}.jsonl")}
        return dict(task=name, dataset_path="json", dataset_kwargs={"data_files": files}, test_split="test", **more)

    question = dict(doc_to_text="{{question}}", target_delimiter="")
    mean = lambda metric: dict(metric=metric, aggregation="mean", higher_is_better=True)
    return [
        task("choices", "questions", output_type="multiple_choice", doc_to_choice="{{choices}}", doc_to_target=0,
             metric_list=[mean("acc"), mean("acc_norm")], **question),
        task("answer", "questions", output_type="loglikelihood", doc_to_target="{{choices[0]}}",
             metric_list=[dict(metric="perplexity", aggregation="perplexity"), mean("acc")], **question),
        task("texts", "texts", output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{text}}",
             metric_list=[dict(metric="word_perplexity"), dict(metric="bits_per_byte")]),
        task("until", "questions", output_type="generate_until", doc_to_target="{{choices[0]}}",
             generation_kwargs=dict(until=["."], max_gen_toks=20, temperature=0.0),
             metric_list=[mean("exact_match")], **question),
    ]


def main(url, name, checkpoint):
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        write_texts(folder)
        models = {
            "local-completions": dict(model=name, base_url=f"{url}/v1/completions", tokenizer=checkpoint,
                                      max_length=256, num_concurrent=4),
            "hf": dict(pretrained=checkpoint, dtype="float32", device="cpu"),
        }
        results = [
            lm_eval.simple_evaluate(model, model_args=args, tasks=tasks(folder), task_manager=TaskManager(),
                                    batch_size=4, bootstrap_iters=0)["results"]
            for model, args in models.items()
        ]
    wrong = 0
    for task in results[1]:
        for metric, theirs in results[1][task].items():
            if "stderr" in metric or not isinstance(theirs, float):
                continue
            ours = results[0][task][metric]
            differs = abs(ours - theirs) > TOLERANCE * abs(theirs)
            wrong += differs
            print(f"{task:8} {metric:24} layerwise {ours:12.6f} transformers {theirs:12.6f} {'DIFFERS' if differs else ''}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
