"""Writes test/golden/train.json: AdamW, clipping and the schedule of PyTorch in float64, over twelve steps of a toy problem.

Two tensors, a matrix that decays and a norm that does not; their gradients are given, some steps above the clipping norm.
The learning rate of each step is LambdaLR's with the formula of the schedule written out again: up in a line over the first
5 % of the steps, at least one, then along a cosine to a tenth.

  pip install torch && python scripts/golden/train.py
"""

import json
import math
import pathlib

import torch

STEPS, PEAK, DECAY = 12, 0.02, 0.01


def main() -> None:
    torch.manual_seed(0)
    W = torch.randn(3, 4, dtype=torch.float64).mul(0.5).float().double().requires_grad_()
    g = torch.ones(4, dtype=torch.float64).requires_grad_()
    start = {"W": W.detach().flatten().tolist(), "g": g.detach().tolist()}
    optimiser = torch.optim.AdamW(
        [{"params": [W], "weight_decay": DECAY}, {"params": [g], "weight_decay": 0.0}], lr=PEAK, betas=(0.9, 0.95), eps=1e-8
    )
    warm = max(1, math.ceil(0.05 * STEPS))

    def share(step: int) -> float:
        step += 1
        if step <= warm:
            return step / warm
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, STEPS - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
    steps = []
    for step in range(STEPS):
        W.grad = (torch.randn(3, 4) * (2.0 if step % 3 == 0 else 0.1)).double()
        g.grad = (torch.randn(4) * 0.1).double()
        given = {"W": W.grad.flatten().tolist(), "g": g.grad.tolist()}
        norm = torch.nn.utils.clip_grad_norm_([W, g], 1.0).item()
        rate = optimiser.param_groups[0]["lr"]
        optimiser.step()
        schedule.step()
        values = {"W": W.detach().flatten().tolist(), "g": g.detach().tolist()}
        steps.append({"gradients": given, "norm": norm, "rate": rate, "values": values})
    document = {"peak": PEAK, "decay": DECAY, "start": start, "steps": steps}
    path = pathlib.Path(__file__).parents[2] / "test" / "golden" / "train.json"
    path.write_text(json.dumps(document) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
