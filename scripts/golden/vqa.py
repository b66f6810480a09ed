"""Writes test/golden/images/vqa.json: what VQA's own evaluation makes of answers.

  python scripts/golden/vqa.py vqa_eval.py      (lavis/common/vqa_tools/vqa_eval.py of github.com/salesforce/LAVIS)

normalised   [answer, its form after processPunctuation and processDigitArticle]: every contraction, and random pieces put together
accuracy     [answer, human answers, accuracy]
"""

import importlib.util
import json
import pathlib
import random
import sys

OUT = pathlib.Path(__file__).parents[2] / "test/golden/images/vqa.json"
PIECES = ["two", "a", "The", "cat", "dont", "he'dve", "3", "1,000", "x", "none", "Ten", "yes", "no", "3.5", "end.", "U.S.A."]
GLUE = [" ", " ", " ", "", "-", ", ", "/", " & ", "\n", "\t", "?", "! ", "_", " (", ") ", "...", ":", "'"]


def load(path):
    spec = importlib.util.spec_from_file_location("vqa_eval", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VQAEval


class Questions:
    def __init__(self, qa):
        self.qa = qa

    def getQuesIds(self):
        return list(self.qa)


def main():
    VQAEval = load(sys.argv[1])
    draw = random.Random(7)
    empty = VQAEval(Questions({}), Questions({}))
    words = sorted({*empty.contractions, *empty.contractions.values()})

    def text(most):
        return "".join(draw.choice(PIECES + words[:: draw.randint(1, 40)]) + draw.choice(GLUE) for _ in range(draw.randint(1, most)))

    def normalise(answer):
        answer = answer.replace("\n", " ").replace("\t", " ").strip()
        return empty.processDigitArticle(empty.processPunctuation(answer))

    answers = words + ["", " ", ".", "." * 40, "a the an", "1.", ".5", "a,b", "1,5 a-b"] + [text(6) for _ in range(250)]
    questions, results = {}, {}
    for number in range(120):
        pool = [text(2) for _ in range(draw.randint(1, 3))]
        if draw.random() < 0.5:
            pool = [normalise(one) for one in pool]
        human = [draw.choice(pool) for _ in range(10)]
        questions[number] = {
            "question_type": "",
            "answer_type": "",
            "answers": [{"answer": one, "answer_id": place} for place, one in enumerate(human)],
        }
        results[number] = {"answer": draw.choice(human), "human": human}
    judge = VQAEval(Questions(questions), Questions(results), n=10)
    judge.evaluate()
    OUT.write_text(
        json.dumps(
            {
                "normalised": [[answer, normalise(answer)] for answer in answers],
                "accuracy": [[results[q]["answer"], results[q]["human"], judge.evalQA[q] / 100] for q in questions],
            }
        )
        + "\n"
    )
    values = [judge.evalQA[q] for q in questions]
    print(OUT.stat().st_size, "bytes;", {value: values.count(value) for value in sorted(set(values))})


main()
