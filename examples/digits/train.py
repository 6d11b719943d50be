"""Train a convolutional network on the handwritten digits that scikit-learn carries, and export it to ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from typing import TypedDict

TEST_SHARE = 0.25
BATCH = 64
SEED = 7


class Trained(TypedDict):
    """What the job returns: the exported model, how good it is, and the images that it never saw."""

    onnx: bytes
    accuracy: float
    images: list[list[list[list[float]]]]
    labels: list[int]


def train(epochs: int = 15) -> Trained:
    """Train for `epochs` passes over three quarters of the 1,797 images; print the loss of each."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import nn

    torch.manual_seed(SEED)
    digits = load_digits()
    split = train_test_split(digits.images / 16.0, digits.target, test_size=TEST_SHARE, random_state=SEED)
    images, held_out, labels, answers = (torch.tensor(part) for part in split)
    images, held_out = images.float().unsqueeze(1), held_out.float().unsqueeze(1)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 4 * 4, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(1, epochs + 1):
        print(f"Epoch {epoch}, train loss: {run_epoch(model, optimizer, images, labels):.3f}", flush=True)
    model.eval()
    with torch.no_grad():
        accuracy = (model(held_out).argmax(1) == answers).float().mean().item()
    print(f"Held-out accuracy: {accuracy:.4f} on {len(answers)} images", flush=True)
    return {
        "onnx": export(model, held_out[:1]),
        "accuracy": accuracy,
        "images": held_out.tolist(),
        "labels": answers.tolist(),
    }


def run_epoch(model, optimizer, images, labels) -> float:  # type: ignore[no-untyped-def]
    """Do one pass in random order; return the mean loss."""
    import torch
    from torch.nn.functional import cross_entropy

    model.train()
    total = 0.0
    for rows in torch.randperm(len(images)).split(BATCH):
        optimizer.zero_grad()
        loss = cross_entropy(model(images[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(images)


def export(model, example) -> bytes:  # type: ignore[no-untyped-def]
    """Return the model as ONNX, its first dimension left open for batches."""
    import torch

    # The exporter remarks on optional packages and on its own deprecations; neither concerns this model.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)
    buffer = io.BytesIO()
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model, (example,), dynamo=True, dynamic_shapes=({0: batch},), input_names=["image"], output_names=["scores"],
        verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(buffer)
    return buffer.getvalue()


if __name__ == "__main__":
    train()
