"""Zero-shot requests in PyTorch, in the straightforward loop of lm-evaluation-harness: what `bench/zeroshot.ts` measures
against and what its scores are checked with.

Each request is a context and a continuation. White space at the end of the context moves to the continuation, the whole is
encoded once, the context once more, and what follows as many tokens as the context has is scored. Requests go longest
first, --batch-size at a time (the harness's default is 1), padded on the right; all positions go through the LM head and
log-softmax, and the continuation's are picked from them. CPU, fp32, transformers' own model and default attention.

  python scripts/peers/zeroshot_pytorch.py --checkpoint DIR --requests requests.jsonl --length 256 --threads 2

A line of requests is {"context": …, "continuation": …}. One JSON document goes to stdout: seconds to encode and to score, and
each request's [log-probability, greedy]. Starting Python, importing torch and loading the model are not in the seconds.
"""

import argparse
import json
import time

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, logging


def encode(tokenizer, context: str, continuation: str) -> tuple[list[int], list[int]]:
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole = tokenizer.encode(context + continuation)
    alone = tokenizer.encode(context)
    return alone, whole[len(alone) :]


def score(model, requests, length: int, batch_size: int) -> list[tuple[float, bool]]:
    results: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
    order = sorted(range(len(requests)), key=lambda i: -len(requests[i][0]) - len(requests[i][1]))
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        inputs = [torch.tensor((requests[i][0] + requests[i][1])[-(length + 1) :][:-1]) for i in batch]
        longest = max(len(one) for one in inputs)
        padded = torch.stack([functional.pad(one, (0, longest - len(one))) for one in inputs])
        log_probabilities = functional.log_softmax(model(padded).logits.float(), dim=-1)
        for i, one, row in zip(batch, inputs, log_probabilities):
            # A continuation longer than the model's maximum loses its first tokens; the harness fails on it.
            targets = torch.tensor(requests[i][1][-len(one) :])
            rows = row[len(one) - len(targets) : len(one)]
            greedy = bool((rows.argmax(-1) == targets).all())
            results[i] = (float(rows.gather(1, targets[:, None]).sum()), greedy)
    return results


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="Log-probabilities of continuations; a JSON document on stdout.")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--requests", required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(arguments.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    with open(arguments.requests, encoding="utf-8") as lines:
        requests = [json.loads(line) for line in lines]
    score(model, [encode(tokenizer, one["context"], one["continuation"]) for one in requests[:20]], arguments.length, 1)

    start, used = time.perf_counter(), time.process_time()
    encoded = [encode(tokenizer, one["context"], one["continuation"]) for one in requests]
    middle = time.perf_counter()
    results = score(model, encoded, arguments.length, arguments.batch_size)
    end = time.perf_counter()
    seconds = {"encode": middle - start, "score": end - middle, "total": end - start, "cpu": time.process_time() - used}
    print(json.dumps({"torch": torch.__version__, "seconds": seconds, "results": results}))


if __name__ == "__main__":
    main()
