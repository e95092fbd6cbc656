"""Records what PyTorch's optimisers do in float64, for packages/model/src/optimisers/*.test.ts.

Run from the repository's root: python scripts/references/optimizers.py   (needs torch)

Writes packages/model/testdata/optimizers.json:
  torch   version
  count   number of parameters P; parameter i starts as value(0, i) of reference_values.py
  steps   number of steps; the gradient of step t = 1, 2, ... is value(t, i)
  cases   {name, optimizer (a job spec's), after: {step: parameters}}
"""

import json
import pathlib

import torch

from reference_values import rounded, values

COUNT, STEPS, RECORDED = 24, 50, (1, 2, 5, 50)


def sgd(learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0):
    spec = {"name": "sgd", "learningRate": learning_rate, "momentum": momentum, "nesterov": nesterov, "weightDecay": weight_decay}
    make = lambda p: torch.optim.SGD([p], lr=learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    return spec, make


def adam(name, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    spec = {"name": name, "learningRate": learning_rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weightDecay": weight_decay}
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    make = lambda p: kind([p], lr=learning_rate, betas=(beta1, beta2), eps=epsilon, weight_decay=weight_decay)
    return spec, make


CASES = {
    "sgd": sgd(0.05),
    "sgd with weight decay": sgd(0.05, weight_decay=0.1),
    "sgd with momentum": sgd(0.05, momentum=0.9),
    "sgd with momentum and weight decay": sgd(0.05, momentum=0.8, weight_decay=0.1),
    "sgd with nesterov": sgd(0.05, momentum=0.9, nesterov=True),
    "sgd with nesterov and weight decay": sgd(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": adam("adam", 0.01),
    "adam with weight decay": adam("adam", 0.01, weight_decay=0.1),
    "adam with other betas and a large epsilon": adam("adam", 0.01, beta1=0.8, beta2=0.95, epsilon=0.1),
    "adamw": adam("adamw", 0.01, weight_decay=0.01),
    "adamw with much decay": adam("adamw", 0.02, weight_decay=0.5),
}


def record(name, spec, make):
    parameters = torch.nn.Parameter(values(0, COUNT))
    optimizer = make(parameters)
    after = {}
    for step in range(1, STEPS + 1):
        parameters.grad = values(step, COUNT)
        optimizer.step()
        if step in RECORDED:
            after[step] = rounded(parameters)
    return {"name": name, "optimizer": spec, "after": after}


reference = {
    "torch": torch.__version__,
    "count": COUNT,
    "steps": STEPS,
    "cases": [record(name, spec, make) for name, (spec, make) in CASES.items()],
}
path = pathlib.Path(__file__).parents[2] / "packages/model/testdata/optimizers.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes")
