"""Records loss, gradients, batch statistics and short trainings of both architectures in float64, for the engine's tests.

Run from the repository's root: python scripts/references/architectures.py   (needs torch)

Writes packages/engine/testdata/architectures.json. value(stream, i) and byte(stream, i) are those of reference_values.py.
  torch      version
  normalize  {mean, std}: x = (pixel / 255 - mean) / std, a value for each channel
  gradients  one entry a network:
    model, input {channels, height, width}, classes, samples N (one micro-batch)
      pixels  uint8 NHWC, flat: byte(1, i);    labels: (3 * sample) mod classes
      parameter number k of the layout (0-based), flat, in PyTorch's order: value(100 + k, i) * s, where s = 0.1 for scales and
      shifts of batch-norm (a scale has 1 added), else s = 1 / sqrt(fan in), fan in = values that go into one output, for weight and
      bias alike.  running_mean number j of the layout's statistics: 0.1 * value(200 + j, i);  running_var: 1 + 0.5 * value(200 + j, i)
    loss        sum over samples of the cross-entropy, in training
    correct     samples whose largest logit is their label's, in training
    gradients   {parameter name: flat gradient of the loss sum}
    statistics  {"bn1.running_mean": batch means, "bn1.running_var": unbiased batch variances} of the micro-batch
    evaluation  {loss, correct, logits: [N * classes]} with the running statistics above
  training   simple-cnn on a fixed dataset: {model, input, classes, samples, batchSize, steps, cases}
      pixels  uint8 NHWC, flat: byte(2, i) >> 1, plus 32 * label;   labels: sample mod classes
      parameters as above;  step t = 0, 1, ... takes samples (t * batchSize + j) mod samples, j = 0 .. batchSize - 1, in that order
    cases: {name, optimizer (a job spec's), losses: mean loss of each step's batch before its update, parameters: {name: values after 5 steps}}
"""

import json
import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

from reference_values import bytes_, rounded, values

NORMALIZE = {"mean": [0.5, 0.45, 0.4], "std": [0.25, 0.3, 0.2]}


def simple_cnn(channels, height, width, classes):
    net = nn.Sequential()
    net.add_module("conv1", nn.Conv2d(channels, 16, 3, padding=1))
    net.add_module("relu1", nn.ReLU())
    net.add_module("pool1", nn.MaxPool2d(2))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc1", nn.Linear(16 * (height // 2) * (width // 2), classes))
    return net


def small_cnn(channels, height, width, classes, first_filters):
    net = nn.Sequential()
    block, side = 0, min(height, width)
    while block < 6 and side >= (2 if block < 3 else 8):
        filters = first_filters * min(2**block, 8)
        block, side = block + 1, side // 2
        net.add_module(f"conv{block}", nn.Conv2d(channels, filters, 3, padding=1))
        net.add_module(f"relu{block}", nn.ReLU())
        net.add_module(f"pool{block}", nn.MaxPool2d(2))
        net.add_module(f"bn{block}", nn.BatchNorm2d(filters))
        channels = filters
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", nn.Linear(channels * (height >> block) * (width >> block), classes))
    return net


def fill(net):
    """Parameters and running statistics by the formula; the order of named_parameters is that of the layout."""
    net.double()
    with torch.no_grad():
        for k, (name, parameter) in enumerate(net.named_parameters()):
            owner = net.get_submodule(name.rpartition(".")[0])
            if isinstance(owner, nn.BatchNorm2d):
                scale, base = 0.1, 1.0 if name.endswith(".weight") else 0.0
            else:
                scale, base = 1 / math.sqrt(owner.weight[0].numel()), 0.0
            parameter.copy_(base + scale * values(100 + k, parameter.numel()).reshape(parameter.shape))
        statistics = [(name, buffer) for name, buffer in net.named_buffers() if not name.endswith("num_batches_tracked")]
        for j, (name, buffer) in enumerate(statistics):
            drawn = values(200 + j, buffer.numel())
            buffer.copy_(0.1 * drawn if name.endswith("running_mean") else 1 + 0.5 * drawn)
    return net


def normalised(pixels, samples, channels, height, width):
    """uint8 NHWC, flat, to float64 NCHW."""
    x = pixels.to(torch.float64).reshape(samples, height, width, channels) / 255
    mean, std = (torch.tensor(NORMALIZE[key][:channels], dtype=torch.float64) for key in ("mean", "std"))
    return ((x - mean) / std).permute(0, 3, 1, 2)


def record_gradients(model, make, channels, height, width, classes, samples):
    net = fill(make(channels, height, width, classes))
    x = normalised(bytes_(1, samples * height * width * channels), samples, channels, height, width)
    labels = (3 * torch.arange(samples)) % classes

    net.eval()
    logits = net(x)
    evaluation = {
        "loss": F.cross_entropy(logits, labels, reduction="sum").item(),
        "correct": (logits.argmax(1) == labels).sum().item(),
        "logits": rounded(logits),
    }

    statistics = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the running statistics then become those of the batch, by PyTorch's own rule
            module.register_forward_hook(lambda module, _inputs, _output, name=name: statistics.update({
                f"{name}.running_mean": rounded(module.running_mean),
                f"{name}.running_var": rounded(module.running_var),
            }))
    net.train()
    logits = net(x)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    loss.backward()
    return {
        "model": model,
        "input": {"channels": channels, "height": height, "width": width},
        "classes": classes,
        "samples": samples,
        "loss": loss.item(),
        "correct": (logits.argmax(1) == labels).sum().item(),
        "gradients": {name: rounded(parameter.grad) for name, parameter in net.named_parameters()},
        "statistics": statistics,
        "evaluation": evaluation,
    }


def record_training(cases, channels, height, width, classes, samples, batch_size, steps):
    labels = torch.arange(samples) % classes
    pixels = bytes_(2, samples * height * width * channels).reshape(samples, -1) >> 1
    x = normalised(pixels + 32 * labels[:, None], samples, channels, height, width)
    recorded = []
    for name, spec, make in cases:
        net = fill(simple_cnn(channels, height, width, classes))
        optimizer = make(net.parameters())
        losses, parameters = [], {}
        for step in range(steps):
            batch = (step * batch_size + torch.arange(batch_size)) % samples
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if step == 4:
                parameters = {name: rounded(parameter) for name, parameter in net.named_parameters()}
        recorded.append({"name": name, "optimizer": spec, "losses": losses, "parameters": parameters})
    return {
        "model": {"architecture": "simple-cnn", "parameters": {}},
        "input": {"channels": channels, "height": height, "width": width},
        "classes": classes,
        "samples": samples,
        "batchSize": batch_size,
        "steps": steps,
        "cases": recorded,
    }


def sgd_spec(learning_rate, momentum, nesterov, weight_decay):
    return {"name": "sgd", "learningRate": learning_rate, "momentum": momentum, "nesterov": nesterov, "weightDecay": weight_decay}


def adam_spec(name, learning_rate, weight_decay):
    return {"name": name, "learningRate": learning_rate, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": weight_decay}


TRAINING_CASES = [
    ("sgd", sgd_spec(0.02, 0.9, False, 0), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    ("nesterov", sgd_spec(0.02, 0.9, True, 5e-4), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    ("adam", adam_spec("adam", 1e-3, 0), lambda p: torch.optim.Adam(p, lr=1e-3)),
    ("adamw", adam_spec("adamw", 1e-3, 0.01), lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01)),
]

simple = {"architecture": "simple-cnn", "parameters": {}}
small = {"architecture": "small-cnn", "parameters": {"width": 4}}
reference = {
    "torch": torch.__version__,
    "normalize": NORMALIZE,
    "gradients": [
        record_gradients(simple, simple_cnn, 3, 10, 8, 5, 8),
        record_gradients(simple, simple_cnn, 1, 7, 9, 3, 5),  # grey, and pooling that drops a row and a column
        record_gradients(small, lambda *size: small_cnn(*size, 4), 3, 32, 32, 5, 8),
    ],
    "training": record_training(TRAINING_CASES, 3, 8, 8, 4, 48, 16, 50),
}
path = pathlib.Path(__file__).parents[2] / "packages/engine/testdata/architectures.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes")
for case in reference["training"]["cases"]:
    print(case["name"], "loss", case["losses"][0], "to", case["losses"][-1])
