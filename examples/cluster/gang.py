"""One rank of a gang: trains a classifier on its share of real digits, with gradients averaged over all ranks."""

from __future__ import annotations

import os
import sys
import time

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch.nn import functional

RATE = 0.5


def main(seconds: float) -> None:
    """Train for so long; rank 0 tells how it goes, and for how many ranks the sums are right."""
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    print(f"Rank {rank} of {size} is on {os.environ['LEPTON_NODE']}.", flush=True)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images[rank::size], dtype=torch.float32) / 16, torch.tensor(labels[rank::size])
    weights = torch.zeros(64, 10, requires_grad=True)
    begin, step, goes_on = time.monotonic(), 0, torch.ones(1)
    while goes_on.item():
        loss = functional.cross_entropy(x @ weights, y)
        (gradient,) = torch.autograd.grad(loss, weights)
        dist.all_reduce(gradient)
        weights = (weights - RATE * gradient / size).detach().requires_grad_()
        if step % 500 == 0 and rank == 0:
            print(f"Step {step}, train loss: {loss.item():.3f}", flush=True)
        step += 1
        goes_on = torch.tensor([float(time.monotonic() - begin < seconds)])
        dist.broadcast(goes_on, 0)
    share = ((x @ weights).argmax(1) == y).float().mean()
    dist.all_reduce(share)
    if rank == 0:
        print(
            f"Trained {step} steps over {size} ranks, accuracy on the training images: {share / size:.3f}", flush=True
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(float(sys.argv[1]))
