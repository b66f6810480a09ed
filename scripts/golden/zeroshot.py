"""What zero-shot requests come to in PyTorch, one request at a time: test/golden/zeroshot/.

  python scripts/golden/zeroshot.py demo
      demo.json: our own made-up items (items/*.jsonl) on the checkpoint of demo/model: every request as text, its numbers of
      tokens, its log-probability and whether it is greedy, and each task's metrics.
  python scripts/golden/zeroshot.py novels ../shared/models/novels-2m ../shared/data/zeroshot/fields
      novels-2m.json: log-probabilities of the first items of the public sets on a trained checkpoint, numbers alone.

The forms are written here anew from lm-evaluation-harness's task files (4e7e0d4, 2026), with Python's own string methods; the
model is transformers', in float32, without padding or batches.
"""

import json
import math
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, logging

GOLDEN = Path(__file__).parents[2] / "test" / "golden" / "zeroshot"
DEMO = Path(__file__).parents[2] / "demo" / "model"
ITEMS = 200


def clean(text):
    text = text.strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


def hellaswag(doc):
    if "query" in doc:
        return doc["query"], doc["choices"], int(doc["gold"])
    context = doc["activity_label"] + ": " + doc["ctx_a"] + " " + doc["ctx_b"].capitalize()
    return clean(context), [clean(ending) for ending in doc["endings"]], int(doc["label"])


def arc(doc):
    return (
        f"Question: {doc['question']}\nAnswer:",
        doc["choices"]["text"],
        doc["choices"]["label"].index(doc["answerKey"]),
    )


def openbookqa(doc):
    return doc["question_stem"], doc["choices"]["text"], doc["choices"]["label"].index(doc["answerKey"].lstrip())


def piqa(doc):
    return f"Question: {doc['goal']}\nAnswer:", [doc["sol1"], doc["sol2"]], doc["label"]


def boolq(doc):
    title = doc["title"] + " -- " if "title" in doc else ""
    gold = int(doc["answer"]) if "answer" in doc else doc["label"]
    return f"{title}{doc['passage']}\nQuestion: {doc['question']}?\nAnswer:", ["no", "yes"], gold


def rte(doc):
    return f"{doc['sentence1']}\nQuestion: {doc['sentence2']} True or False?\nAnswer:", ["True", "False"], doc["label"]


def mmlu(doc):
    choices = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", doc["choices"]))
    return f"{doc['question'].strip()}\n{choices}\nAnswer:", ["A", "B", "C", "D"], doc["answer"]


def winogrande(doc):
    blank = doc["sentence"].index("_")
    contexts = [doc["sentence"][:blank] + option for option in (doc["option1"], doc["option2"])]
    return contexts, doc["sentence"][blank + 1 :].strip(), int(doc["answer"]) - 1


def lambada(doc):
    words = doc["text"].split(" ")
    return " ".join(words[:-1]), " " + words[-1]


CHOICES = {
    "boolq": boolq,
    "piqa": piqa,
    "hellaswag": hellaswag,
    "arc_easy": arc,
    "arc_challenge": arc,
    "openbookqa": openbookqa,
    "rte": rte,
    "mmlu": mmlu,
}
# TOFU's forms (arXiv 2401.06121), which the harness lacks: the answer, its paraphrase where there is one, wrong answers.
ANSWERS = ["tofu_forget01", "tofu_world_facts"]
NORMALISED = {"piqa", "hellaswag", "arc_easy", "arc_challenge", "openbookqa"}


def render(task, doc, shots=()):
    """(requests, gold, choices); `shots` are documents of MMLU's dev split."""
    if task == "winogrande":
        contexts, rest, gold = winogrande(doc)
        return [(context, " " + rest) for context in contexts], gold, contexts
    if task == "lambada_openai":
        context, word = lambada(doc)
        return [(context, word)], 0, [word]
    if task in ANSWERS:
        answers = [doc["answer"], *([doc["paraphrased_answer"]] if "paraphrased_answer" in doc else []), *doc["perturbed_answer"]]
        return [(f"Question: {doc['question']}\nAnswer:", " " + answer) for answer in answers], 0, answers
    text, choices, gold = CHOICES[task](doc)
    before = ""
    if task == "mmlu":
        subject = doc["subject"].replace("_", " ")
        before = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
        for shot in shots:
            question, letters, right = mmlu(shot)
            before += f"{question} {letters[right]}\n\n"
    return [(before + text, " " + choice) for choice in choices], gold, choices


def load(path):
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # single requests of a small model gain nothing by more
    return AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


@torch.no_grad()
def score(tokenizer, model, length, context, continuation):
    """(tokens of the context, tokens of the continuation, log-probability, greedy)"""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    alone = tokenizer.encode(context)
    rest = tokenizer.encode(context + continuation)[len(alone) :]
    tokens = (alone + rest)[-(length + 1) :]
    targets = torch.tensor(rest[-(len(tokens) - 1) :])
    log_probabilities = torch.log_softmax(model(torch.tensor([tokens[:-1]])).logits[0], -1)[-len(targets) :]
    chosen = log_probabilities.gather(1, targets[:, None]).double().sum().item()
    return len(alone), len(rest), chosen, bool((log_probabilities.argmax(-1) == targets).all())


def mean(values):
    return sum(values) / len(values)


def stderr(values):
    m = mean(values)
    return math.sqrt(sum((value - m) ** 2 for value in values) / (len(values) - 1) / len(values))


def tofu(task, item):
    """(acc, probability, truth ratio) of a question: section 2.2.1 of the paper, probabilities as they are."""
    probabilities = [math.exp(request["logprob"]) for request in item["requests"]]
    per_token = [p ** (1 / request["continuation_tokens"]) for p, request in zip(probabilities, item["requests"])]
    if task == "tofu_world_facts":
        right, wrong = per_token[0], per_token[1:]
        return float(right > max(wrong)), probabilities[0] / sum(probabilities), mean(wrong) / right
    right, wrong = per_token[1], per_token[2:]
    return float(right > max(wrong)), per_token[0], mean(wrong) / right


def metrics(task, items):
    if task in ANSWERS:
        columns = zip(*(tofu(task, item) for item in items))
        return {name: [mean(values), stderr(values)] for name, values in zip(["acc", "probability", "truth_ratio"], columns)}
    def right(values, gold):
        return float(values.index(max(values)) == gold)

    sums = [[request["logprob"] for request in item["requests"]] for item in items]
    if task == "lambada_openai":
        greedy = [float(item["requests"][0]["greedy"]) for item in items]
        logs = [values[0] for values in sums]
        perplexity = math.exp(-mean(logs))
        return {
            "perplexity": [perplexity, perplexity * stderr(logs)],
            "acc": [mean(greedy), stderr(greedy)],
        }
    acc = [right(values, item["gold"]) for values, item in zip(sums, items)]
    found = {"acc": [mean(acc), stderr(acc)]}
    if task in NORMALISED:
        norm = [
            right([value / len(choice) for value, choice in zip(values, item["choices"])], item["gold"])
            for values, item in zip(sums, items)
        ]
        found["acc_norm"] = [mean(norm), stderr(norm)]
    return found


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(name, document):
    with open(GOLDEN / name, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=1 if name == "demo.json" else None)
        file.write("\n")


def make_demo():
    tokenizer, model = load(DEMO)
    length = model.config.max_position_embeddings
    document = {"length": length, "tasks": {}, "mmlu 2 shots": []}

    def scored(task, doc, shots=()):
        requests, gold, choices = render(task, doc, shots)
        made = []
        for context, continuation in requests:
            before, after, logprob, greedy = score(tokenizer, model, length, context, continuation)
            tokens = {"context_tokens": before, "continuation_tokens": after}
            made.append({"context": context, "continuation": continuation, **tokens, "logprob": logprob, "greedy": greedy})
        return {"gold": gold, "choices": choices, "requests": made}

    for task in [*CHOICES, "winogrande", "lambada_openai", *ANSWERS]:
        paths = [GOLDEN / "items" / f"{task}{suffix}.jsonl" for suffix in ("", ".validation")]
        items = [scored(task, doc) for doc in read(next(path for path in paths if path.exists()))]
        document["tasks"][task] = {"metrics": metrics(task, items), "items": items}
    dev = read(GOLDEN / "items" / "mmlu.dev.jsonl")
    for doc in read(GOLDEN / "items" / "mmlu.jsonl"):
        shots = [shot for shot in dev if shot["subject"] == doc["subject"]][:2]
        document["mmlu 2 shots"].append(scored("mmlu", doc, shots))
    write("demo.json", document)


def make_novels(checkpoint, fields):
    tokenizer, model = load(checkpoint)
    length = model.config.max_position_embeddings
    document = {}
    for path in sorted(Path(fields).glob("*.jsonl")):
        task = path.name.split(".")[0].replace("winogrande_xl", "winogrande")
        rows = []
        for doc in read(path)[:ITEMS]:
            requests, gold, _ = render(task, doc)
            scores = [score(tokenizer, model, length, *request) for request in requests]
            rows.append({"gold": gold, "logprobs": [round(logprob, 5) for _, _, logprob, _ in scores]})
        document[task] = rows
    write("novels-2m.json", document)


if __name__ == "__main__":
    if sys.argv[1] == "demo":
        make_demo()
    else:
        make_novels(*sys.argv[2:4])
