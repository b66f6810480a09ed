"""What LLM-Pruner's and FLAP's published procedures make of a LLaMA at the same number of parameters, in PyTorch.

  pip install torch transformers
  python scripts/peers/width_pytorch.py <checkpoint> --calibration <text> --text <text> --remove 0.1,0.2,0.3

A share of the checkpoint's parameters is removed (tied embeddings count once). Units are MLP channels (3 d parameters) and
groups of query heads that share keys ((2 r + 2) h d). Units are zeroed, which computes what cutting them out computes.

  llm-pruner  arXiv 2305.11627: |w g| of every weight, g the gradient of the loss on 10 sequences of 64 tokens, summed over a
              unit; one rate for every block but the first four and the last two, and for each of attention and MLP; a rate
              that gives less than one group of heads takes none, as in the code
  taylor-more the same with the gradient of all calibration windows
  flap        arXiv 2312.11983: variance of a channel times the squared norm of its column, standardised in each block, one
              threshold over all blocks and kinds; a head is the mean of its channels; biases make up for the means

Prints one line of JSON for each: parameters left, perplexity and mean KL to the dense model on windows of the text.
"""

import argparse
import copy
import json
import math
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def windows_of(tokenizer, path, length):
    ids = tokenizer.encode(pathlib.Path(path).read_text(), add_special_tokens=False)
    return [torch.tensor([ids[i : i + length]]) for i in range(0, len(ids) - length + 1, length)]


class Widths:
    """The shapes of a LLaMA: what its units are and what they cost."""

    def __init__(self, model):
        config = model.config
        self.model, self.d, self.f = model, config.hidden_size, config.intermediate_size
        self.h = getattr(config, "head_dim", None) or self.d // config.num_attention_heads
        self.groups = config.num_key_value_heads
        self.r = config.num_attention_heads // self.groups
        self.channel, self.group = 3 * self.d, (2 * self.r + 2) * self.h * self.d
        self.blocks = model.model.layers
        self.all = sum(p.numel() for p in model.parameters())

    def by_group(self, of_columns):
        """The sums over the columns of `o` that read one group of heads."""
        return of_columns.view(self.groups, self.r * self.h).sum(1)

    def removed(self, keep):
        return sum(self.group * (~a).sum().item() + self.channel * (~m).sum().item() for a, m in keep)

    def cut(self, keep, means=None):
        """A copy in which the units that are not kept read zero; `means` of the inputs of o and down become biases."""
        model = copy.deepcopy(self.model)
        for i, (block, (attention, mlp)) in enumerate(zip(model.model.layers, keep)):
            for linear, columns, mean in (
                (block.self_attn.o_proj, attention.repeat_interleave(self.r * self.h), means and means[i][0]),
                (block.mlp.down_proj, mlp, means and means[i][1]),
            ):
                if mean is not None:
                    linear.bias = torch.nn.Parameter(linear.weight.data @ (mean * ~columns))
                linear.weight.data *= columns
        return model


def taylor(widths, windows):
    model = widths.model
    for p in model.parameters():
        p.grad = None
    for window in windows:
        (model(input_ids=window, labels=window).loss / len(windows)).backward()
    scores = []
    for block in widths.blocks:
        size = lambda linear: (linear.weight.data * linear.weight.grad).abs()
        a, m = block.self_attn, block.mlp
        keys = (size(a.k_proj).sum(1) + size(a.v_proj).sum(1)).view(widths.groups, widths.h).sum(1)
        heads = keys + widths.by_group(size(a.q_proj).sum(1)) + widths.by_group(size(a.o_proj).sum(0))
        scores.append((heads, size(m.gate_proj).sum(1) + size(m.up_proj).sum(1) + size(m.down_proj).sum(0)))
    for p in model.parameters():
        p.grad = None
    return scores


@torch.no_grad()
def moments(widths, windows):
    """Means and variances over tokens of what o and down read."""
    sums = [[torch.zeros(2, widths.groups * widths.r * widths.h), torch.zeros(2, widths.f)] for _ in widths.blocks]
    count, hooks = 0, []

    def watch(into):
        def hook(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            into.add_(torch.stack([x.sum(0), (x * x).sum(0)]))

        return hook

    for block, (o, down) in zip(widths.blocks, sums):
        o.data, down.data = o.double(), down.double()
        hooks.append(block.self_attn.o_proj.register_forward_pre_hook(watch(o)))
        hooks.append(block.mlp.down_proj.register_forward_pre_hook(watch(down)))
    for window in windows:
        widths.model(input_ids=window)
        count += window.numel()
    for hook in hooks:
        hook.remove()
    means = [[(s[0] / count).float() for s in pair] for pair in sums]
    variances = [[(s[1] / count - (s[0] / count) ** 2).float() for s in pair] for pair in sums]
    return means, variances


def by_rate(widths, scores, target):
    """One rate for every block but the first four and the last two: the smallest that removes `target` parameters."""
    inside = range(4, len(widths.blocks) - 2)

    def keep_at(rate):
        keep = []
        for i, (heads, channels) in enumerate(scores):
            a, m = torch.ones_like(heads, dtype=torch.bool), torch.ones_like(channels, dtype=torch.bool)
            if i in inside:
                a[heads.argsort()[: int(rate * widths.groups)]] = False
                m[channels.argsort()[: int(round(rate * widths.f))]] = False
            keep.append((a, m))
        return keep

    low, high = 0.0, 0.999
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if widths.removed(keep_at(middle)) < target else (low, middle)
    return keep_at(high)


def by_threshold(widths, scores, target):
    """One threshold over everything, after each block's scores of a kind have mean 0 and deviation 1."""
    standard = lambda x: (x - x.mean()) / x.std()
    scores = [(standard(heads), standard(channels)) for heads, channels in scores]
    flat = [(value.item(), i, kind, at) for i, pair in enumerate(scores) for kind in (0, 1) for at, value in enumerate(pair[kind])]
    keep = [tuple(torch.ones_like(scores_, dtype=torch.bool) for scores_ in pair) for pair in scores]
    left = target
    for _, i, kind, at in sorted(flat):
        if left <= 0:
            break
        if keep[i][kind].sum() > 1:
            keep[i][kind][at] = False
            left -= widths.channel if kind else widths.group
    return keep


@torch.no_grad()
def score(dense, model, windows):
    losses, divergences = [], []
    for window in windows:
        p, q = (torch.log_softmax(m(input_ids=window).logits[0, :-1].float(), -1) for m in (dense, model))
        losses.append(-q.gather(1, window[0, 1:, None]).mean().item())
        divergences.append((p.exp() * (p - q)).sum(-1).mean().item())
    return {"perplexity": math.exp(sum(losses) / len(losses)), "kl": sum(divergences) / len(divergences)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--remove", default="0.1,0.2,0.3")
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    tokenizer = AutoTokenizer.from_pretrained(given.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(given.checkpoint, dtype=torch.float32).eval()
    widths = Widths(model)

    def draw(count, length):
        some = windows_of(tokenizer, given.calibration, length)
        return [some[i] for i in torch.randperm(len(some))[:count]]

    test = windows_of(tokenizer, given.text, given.length)
    print(json.dumps({"dense": score(model, model, test), "parameters": widths.all, "windows": len(test)}), flush=True)
    few, many = draw(10, 64), draw(given.samples, given.length)
    gradients = {"llm-pruner": taylor(widths, few), "taylor-more": taylor(widths, many)}
    means, variances = moments(widths, many)
    flap = []
    for block, (o, down) in zip(widths.blocks, variances):
        heads = widths.by_group(o * block.self_attn.o_proj.weight.data.pow(2).sum(0)) / (widths.r * widths.h)
        flap.append((heads, down * block.mlp.down_proj.weight.data.pow(2).sum(0)))
    for share in map(float, given.remove.split(",")):
        target = share * widths.all
        contenders = {name: (by_rate(widths, scores, target), None) for name, scores in gradients.items()}
        contenders["flap"] = (by_threshold(widths, flap, target), means)
        for name, (keep, bias) in contenders.items():
            line = {"method": name, "removed": share, "parameters": widths.all - widths.removed(keep)}
            line["heads"] = sum(a.sum().item() for a, _ in keep)
            line |= score(model, widths.cut(keep, bias), test)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
