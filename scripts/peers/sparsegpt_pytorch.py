"""SparseGPT for one linear in PyTorch, step by step as the published procedure does it: what `bench/` measures against.

cholesky(H), cholesky_inverse, cholesky of that (upper); blocks of 128 columns; in each the mask from a full sort of all
scores, `<=` the k-th; one rank-one update per column inside the block, one product for the columns right of it. Written
from arXiv 2301.00774 and its published description, for CPU and fp32.

  python scripts/peers/sparsegpt_pytorch.py --weights W.f32 --gram H.f32 --rows 4096 --columns 4096 --threads 2

Files hold raw little-endian float32; the Gram matrix is the sum over tokens of x x^T. One JSON document goes to stdout;
--out receives the pruned weights. Starting Python, importing torch and reading files are not in the seconds.
"""

import argparse
import json
import time

import numpy
import torch

BLOCK = 128


def upper_factor(H: torch.Tensor, damping: float) -> torch.Tensor:
    diagonal = torch.arange(len(H))
    H[diagonal, diagonal] += damping * torch.mean(torch.diag(H))
    H = torch.linalg.cholesky(H)
    H = torch.cholesky_inverse(H)
    return torch.linalg.cholesky(H, upper=True)


def sweep(W: torch.Tensor, U: torch.Tensor, sparsity: float) -> torch.Tensor:
    columns = W.shape[1]
    for left in range(0, columns, BLOCK):
        right = min(left + BLOCK, columns)
        block = W[:, left:right].clone()
        pruned = torch.zeros_like(block)
        errors = torch.zeros_like(block)
        factor = U[left:right, left:right]
        scores = block**2 / torch.diag(factor).reshape(1, -1) ** 2
        threshold = torch.sort(scores.flatten())[0][int(scores.numel() * sparsity)]
        mask = scores <= threshold
        for i in range(right - left):
            w = block[:, i]
            q = w.clone()
            q[mask[:, i]] = 0
            pruned[:, i] = q
            error = (w - q) / factor[i, i]
            block[:, i:] -= error.unsqueeze(1).matmul(factor[i, i:].unsqueeze(0))
            errors[:, i] = error
        W[:, left:right] = pruned
        W[:, right:] -= errors.matmul(U[left:right, right:])
    return W


def prune(W: torch.Tensor, H: torch.Tensor, sparsity: float, damping: float) -> dict[str, float]:
    """Prunes W in place and returns the seconds it took; H is used up."""
    start, used = time.perf_counter(), time.process_time()
    dead = torch.diag(H) == 0
    H[dead, dead] = 1
    W[:, dead] = 0
    U = upper_factor(H, damping)
    middle = time.perf_counter()
    sweep(W, U, sparsity)
    end = time.perf_counter()
    return {"factor": middle - start, "sweep": end - middle, "total": end - start, "cpu": time.process_time() - used}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="One linear with SparseGPT; a JSON document on stdout.")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--gram", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--damping", type=float, default=0.01)
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    def read(path: str, rows: int) -> torch.Tensor:
        return torch.from_numpy(numpy.fromfile(path, dtype="<f4").reshape(rows, arguments.columns))

    warm = torch.randn(512, 1024)
    prune(torch.randn(512, 512), warm @ warm.T, arguments.sparsity, arguments.damping)
    W = read(arguments.weights, arguments.rows)
    H = read(arguments.gram, arguments.columns) * (2 / arguments.sequences)
    seconds = prune(W, H, arguments.sparsity, arguments.damping)
    if arguments.out:
        W.numpy().tofile(arguments.out)
    print(json.dumps({"torch": torch.__version__, "seconds": seconds}))


if __name__ == "__main__":
    main()
