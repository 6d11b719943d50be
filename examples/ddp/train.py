"""Train on the handwritten digits that scikit-learn carries, with as many processes as there are, on any nodes.

The ranks share each global batch evenly, and DistributedDataParallel averages what they find: any number of them that
divides a batch takes the same steps as one process, up to rounding. See README.md.
"""

from __future__ import annotations

import argparse
import os

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

BATCH = 64  # of all ranks together
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on real digits, alone or as a gang.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--width", type=int, default=64, help="of the hidden layer")
    options = parser.parse_args()
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if BATCH % ranks:
        parser.error(f"{ranks} ranks do not share a batch of {BATCH} evenly")
    if ranks > 1:
        dist.init_process_group("gloo")  # where the others are stands in the environment
    train(options.epochs, options.width)
    if ranks > 1:
        dist.destroy_process_group()


def train(epochs: int, width: int) -> None:
    """Do the epochs; rank 0 prints the loss over all 1,797 images after each."""
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(SEED)  # the same weights and the same order on every rank
    digits = load_digits()
    images, labels = torch.tensor(digits.images / 16.0).float().flatten(1), torch.tensor(digits.target)
    network = nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 10))
    model: nn.Module = DistributedDataParallel(network) if ranks > 1 else network
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(images))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            mine = batch[rank::ranks]
            optimizer.zero_grad()
            cross_entropy(model(images[mine]), labels[mine]).backward()
            optimizer.step()
        if rank == 0:
            with torch.no_grad():
                loss = cross_entropy(network(images), labels).item()
            print(f"Epoch {epoch} on {ranks} ranks, loss: {loss:.7f}", flush=True)


if __name__ == "__main__":
    main()
