"""PyTorch's side of bench/train: trains simple-cnn on images held in memory, in blocks, on request.

One JSON object a line on standard input asks for a block, one a line on standard output answers; between requests the
process is idle (its OpenMP threads spin for a moment after a block: callers pause before they measure anything else).

  {"form": "eager" | "channels_last", "batch": 128, "steps": 40}  ->  {"seconds": 0.52, "loss": 1.9}

A step is forward, backward and Adam (fused: its fastest). Images are float32, normalised and in the wanted memory format
before the clock starts, which is kinder than a data loader.

Usage: torch_train.py THREADS IMAGE_SIZE CLASSES
"""

import json
import sys
import time

import torch
from torch import nn

threads, size, classes = (int(argument) for argument in sys.argv[1:4])
torch.set_num_threads(threads)
torch.manual_seed(1)
SAMPLES = 2048
images = torch.randn(SAMPLES, 3, size, size)
labels = torch.randint(0, classes, (SAMPLES,))


class Trainer:
    def __init__(self, form: str):
        self.model = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * (size // 2) ** 2, classes)
        )
        self.images = images
        if form == "channels_last":
            self.model = self.model.to(memory_format=torch.channels_last)
            self.images = images.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.criterion = nn.CrossEntropyLoss()
        self.at = 0

    def steps(self, count: int, batch: int) -> float:
        loss = torch.zeros(())
        for _ in range(count):
            if self.at + batch > SAMPLES:
                self.at = 0
            first, self.at = self.at, self.at + batch
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.criterion(self.model(self.images[first : self.at]), labels[first : self.at])
            loss.backward()
            self.optimizer.step()
        return float(loss.detach())


trainers = {form: Trainer(form) for form in ("eager", "channels_last")}
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    trainer = trainers[request["form"]]
    started = time.perf_counter()
    loss = trainer.steps(request["steps"], request["batch"])
    print(json.dumps({"seconds": time.perf_counter() - started, "loss": loss}), flush=True)
