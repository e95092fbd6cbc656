"""The guide's SimpleCNN in plain PyTorch, on the split that Lockstep made: the peer of bench/accuracy.ts.

usage: mnist_simple_cnn.py IMAGES.idx LABELS.idx SPLIT.json --epochs N --batch-size N --lr X --seed N
SPLIT.json: {"train": [sample index, ...], "validation": [...], "test": [...]}
Prints one JSON line: {"testAccuracy": ..., "valAccuracy": ..., "torch": version}
"""

import argparse
import gzip
import json

import numpy as np
import torch
from torch import nn


def idx(path):
    data = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("labels")
    parser.add_argument("split")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    images = torch.from_numpy(idx(options.images).copy()).float().div(255).unsqueeze(1)
    labels = torch.from_numpy(idx(options.labels).astype(np.int64))
    split = {name: torch.tensor(indices) for name, indices in json.load(open(options.split)).items()}
    train = images[split["train"]]
    images = (images - train.mean()) / train.std(unbiased=False)
    side = images.shape[-1] // 2
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * side * side, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    for _ in range(options.epochs):
        order = split["train"][torch.randperm(len(split["train"]))]
        for batch in order.split(options.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()

    def accuracy(indices):
        with torch.no_grad():
            return (model(images[indices]).argmax(1) == labels[indices]).float().mean().item()

    result = {"testAccuracy": accuracy(split["test"]), "valAccuracy": accuracy(split["validation"])}
    print(json.dumps({**result, "torch": torch.__version__}))


main()
