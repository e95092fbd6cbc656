"""Records forward values and gradients of every graph operator in float64, for packages/graph/src/operators.test.ts.

Run from the repository's root: python scripts/references/graph_operators.py   (needs torch)

Writes packages/graph/testdata/operators.json:
  torch   version
  cases   {name, operator, attributes, inputs: [{shape, kind}], outputs: [{shape, values}], gradients: [flat values, or null]}
    input number k (0-based) holds, at flat index i, of reference_values.py:
      value   value(k, i)
      small   0.2 * value(k, i)
      levels  floor(3 * value(k, i)) / 2: few levels, so that windows have ties, above, at and below zero
      offset  16 + floor(1024 * value(k, i)) / 1024: mean far from zero, exact in float32
      wide    40 * value(k, i)
      byte    byte(k, i) as uint8;   mask  byte(k, i) mod 2 as uint8;   label  byte(k, i) mod the attribute `classes` as int32
    outputs    in the operator's order
    gradients  of the sum over outputs[0] times value(100, i), with respect to each float input; null for the others, and
               for operators that are only run forward
"""

import json
import pathlib

import torch
import torch.nn.functional as F

from reference_values import bytes_, values

CASES = []


def rounded(tensor):
    """Six significant digits: a twentieth of the tests' tolerance at most, and a file of readable size."""
    return [float(f"{value:.6g}") for value in tensor.detach().flatten().tolist()]


def make(kind, stream, shape, attributes):
    count = 1
    for size in shape:
        count *= size
    flat = {
        "value": lambda: values(stream, count),
        "small": lambda: 0.2 * values(stream, count).float().double(),
        "levels": lambda: (3 * values(stream, count)).floor() / 2,
        "offset": lambda: 16 + (1024 * values(stream, count)).floor() / 1024,
        "wide": lambda: 40 * values(stream, count),
        "byte": lambda: bytes_(stream, count),
        "mask": lambda: bytes_(stream, count) % 2,
        "label": lambda: bytes_(stream, count) % attributes["classes"],
    }[kind]()
    return flat.reshape(shape)


def case(name, operator, compute, inputs, attributes={}, gradient=True):
    """inputs: (kind, shape) each; compute(*tensors) gives one tensor, or several of which the first is differentiated."""
    tensors = [make(kind, k, shape, attributes) for k, (kind, shape) in enumerate(inputs)]
    for tensor in tensors:
        tensor.requires_grad_(gradient and tensor.is_floating_point())
    outputs = compute(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if gradient:
        (outputs[0].flatten() * values(100, outputs[0].numel())).sum().backward()
    CASES.append({
        "name": name, "operator": operator, "attributes": attributes,
        "inputs": [{"shape": list(shape), "kind": kind} for kind, shape in inputs],
        "outputs": [{"shape": list(output.shape), "values": rounded(output)} for output in outputs],
        "gradients": [rounded(t.grad) if gradient and t.is_floating_point() else None for t in tensors],
    })


def pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


# Elementwise, movement, reduction
case("add", "add", torch.add, [("value", (2, 3)), ("value", (2, 3))])
case("add a value to itself", "double", lambda x: x + x, [("value", (2, 3))])
case("mul", "mul", torch.mul, [("value", (2, 3)), ("value", (2, 3))])
case("relu, zeros among its inputs", "relu", torch.relu, [("levels", (2, 3, 5, 4))])
case("dropout", "dropout", lambda x, mask: x * mask / (1 - 0.3), [("value", (3, 8)), ("mask", (3, 8))], {"rate": 0.3})
case("sum", "sum", torch.sum, [("value", (2, 3, 2))])
case("reshape", "reshape", lambda x: x.reshape(3, 8), [("value", (2, 3, 4))], {"shape": [3, 8]})
case("flatten", "flatten", lambda x: x.flatten(1), [("value", (2, 3, 4, 2))])
case("addBias on images", "addBias", lambda x, b: x + b[:, None, None], [("value", (2, 3, 4, 5)), ("value", (3,))])
case("addBias on features", "addBias", torch.add, [("value", (3, 5)), ("value", (5,))])
for shapes in ([(2, 3, 2, 3), (2, 1, 2, 3), (2, 4, 2, 3)], [(3, 2), (3, 4)]):
    case(f"concat of {len(shapes)}", "concat", lambda *xs: torch.cat(xs, 1), [("value", s) for s in shapes])

# Dense
case("dense", "dense", lambda x, w: x @ w.T, [("value", (3, 7)), ("small", (4, 7))])
case("dense with bias", "denseWithBias", F.linear, [("value", (3, 7)), ("small", (4, 7)), ("value", (4,))])
case("dense with one sample and one unit", "denseWithBias", F.linear, [("value", (1, 5)), ("small", (1, 5)), ("value", (1,))])

# Image input
for channels in (1, 3):
    statistics = {"mean": [0.5, 0.4, 0.3][:channels], "std": [0.25, 0.3, 0.2][:channels]}
    case(f"castNormalise, {channels} channels", "castNormalise",
         lambda x: ((x / 255 - torch.tensor(statistics["mean"], dtype=torch.float64)) / torch.tensor(statistics["std"], dtype=torch.float64)).permute(0, 3, 1, 2),
         [("byte", (2, 4, 5, channels))], statistics, gradient=False)

# Convolution: N, I, O, (H, W), kernel, stride, padding
for n, i, o, size, kernel, stride, padding in [
    (2, 3, 4, (7, 6), 3, 1, 1), (1, 1, 1, (5, 5), 3, 1, 1), (2, 5, 4, (6, 7), 3, 1, 0), (2, 3, 4, (5, 6), 3, 1, 2),
    (2, 3, 4, (5, 5), 1, 1, 0), (2, 6, 4, (5, 4), 1, 1, 0), (2, 3, 4, (5, 5), 1, 1, 1), (2, 6, 4, (7, 6), 1, 2, 0),
    (2, 3, 4, (7, 6), 5, 1, 2), (2, 6, 4, (6, 7), 5, 1, 0), (2, 3, 4, (8, 8), 3, 2, 1), (2, 6, 4, (7, 9), 3, 2, 1),
    (2, 6, 4, (8, 7), 3, 2, 0), (2, 3, 4, (9, 8), 7, 2, 3), (2, 6, 4, (8, 8), 5, 3, 2), (2, 6, 4, (6, 6), 2, 2, 0),
    (2, 3, 4, (3, 3), 3, 1, 0), (1, 9, 10, (5, 6), 3, 1, 1), (3, 2, 3, (8, 5), (3, 5), 1, 1),
]:
    kh, kw = pair(kernel)
    case(f"convolution {n}x{i}x{size[0]}x{size[1]}, {o} filters {kh}x{kw}, stride {stride}, padding {padding}", "convolution",
         lambda x, w: F.conv2d(x, w, stride=stride, padding=padding),
         [("value", (n, i, *size)), ("small", (o, i, kh, kw))], {"stride": stride, "padding": padding})
case("convolution with bias", "convolutionWithBias", lambda x, w, b: F.conv2d(x, w, b, padding=1),
     [("value", (2, 3, 5, 4)), ("small", (4, 3, 3, 3)), ("value", (4,))], {"stride": 1, "padding": 1})

# Pooling
for kernel, stride, padding, size in [(2, 2, 0, (4, 6)), (2, 2, 0, (7, 5)), (2, 2, 1, (6, 6)), (3, 2, 1, (7, 8)), (3, 3, 0, (7, 9)),
                                      (3, 1, 1, (5, 4)), (2, 1, 0, (4, 5)), (2, 3, 0, (8, 8)), (4, 4, 0, (4, 4)), (1, 1, 0, (3, 3)), (1, 2, 0, (5, 4))]:
    attributes = {"kernel": kernel, "stride": stride, "padding": padding}
    text = f"{size[0]}x{size[1]}, kernel {kernel}, stride {stride}, padding {padding}"
    for kind in ("levels", "value"):
        case(f"maxPool {text}, {'with ties' if kind == 'levels' else 'no ties'}", "maxPool",
             lambda x: F.max_pool2d(x, kernel, stride, padding), [(kind, (2, 2, *size))], attributes)
    case(f"averagePool {text}", "averagePool", lambda x: F.avg_pool2d(x, kernel, stride, padding), [("value", (2, 2, *size))], attributes)
case("globalAveragePool", "globalAveragePool", lambda x: x.mean((2, 3), keepdim=True), [("value", (2, 3, 4, 5))])


# Batch norm
def batch_norm(x, scale, shift):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    y = F.batch_norm(x, None, None, scale, shift, training=True, eps=1e-5)
    return y, x.detach().mean(axes), x.detach().var(axes, unbiased=True)


for kind, shape in [("value", (3, 4, 5, 3)), ("offset", (3, 4, 5, 3)), ("value", (5, 4)), ("value", (1, 2, 3, 2)), ("value", (4, 3))]:
    case(f"batchNormTraining of {kind} {list(shape)}", "batchNormTraining", batch_norm,
         [(kind, shape), ("value", (shape[1],)), ("value", (shape[1],))], {"epsilon": 1e-5})


def two_batch_norms(x, scale1, shift1, scale2, shift2):
    first = torch.relu(batch_norm(x, scale1, shift1)[0])
    return batch_norm(first + x, scale2, shift2)[0]


case("two batch norms whose statistics are not handed out", "twoBatchNorms", two_batch_norms, [("value", (4, 3, 3, 2)), *[("value", (3,))] * 4])
for shape in [(2, 3, 4, 5), (3, 4)]:
    parameters = [("value", (shape[1],)), ("value", (shape[1],)), ("small", (shape[1],)), ("offset", (shape[1],))]
    case(f"batchNormInference of {list(shape)}", "batchNormInference",
         lambda x, scale, shift, mean, variance: F.batch_norm(x, mean, variance, scale, shift, training=False, eps=1e-3),
         [("value", shape), *parameters], {"epsilon": 1e-3}, gradient=False)

# Loss
case("softmax", "softmax", lambda x: F.softmax(x, 1), [("wide", (3, 5))], gradient=False)
for kind in ("value", "wide"):
    case(f"softmaxCrossEntropySum of {kind} logits", "softmaxCrossEntropySum",
         lambda x, labels: F.cross_entropy(x, labels.long(), reduction="sum"), [(kind, (4, 5)), ("label", (4,))], {"classes": 5})
    case(f"softmaxCrossEntropy of {kind} logits", "softmaxCrossEntropy",
         lambda x, labels: F.cross_entropy(x, labels.long(), reduction="none"), [(kind, (4, 5)), ("label", (4,))], {"classes": 5})
case("argMax, with ties", "argMax", lambda x: torch.stack([(row == row.max()).nonzero()[0, 0] for row in x]), [("levels", (6, 5))], gradient=False)
case("countEqual", "countEqual", lambda a, b: (a == b).sum(), [("label", (20,)), ("label", (20,))], {"classes": 3}, gradient=False)


# Layers in a row that lowering joins, and graphs with branches
def layers(first, second):
    def compute(x, w, b=None):
        y = F.conv2d(x, w, b, padding=1)
        for layer in (first, second):
            y = torch.relu(y) if layer == "relu" else F.max_pool2d(y, 2)
        return y
    return compute


for kind, n, i, o, size in [("value", 1, 1, 2, (4, 4)), ("value", 2, 3, 4, (6, 8)), ("levels", 2, 3, 5, (8, 6)), ("value", 2, 5, 3, (4, 6)), ("value", 2, 3, 4, (5, 6))]:
    inputs = [(kind, (n, i, *size)), ("levels" if kind == "levels" else "small", (o, i, 3, 3))]
    bias = ("levels" if kind == "levels" else "value", (o,))
    text = f"{n}x{i}x{size[0]}x{size[1]} to {o}, {kind}"
    case(f"convolution, bias, relu, pool: {text}", "convolutionBiasReluPool", layers("relu", "pool"), [*inputs, bias])
    case(f"convolution, bias, pool, relu: {text}", "convolutionBiasPoolRelu", layers("pool", "relu"), [*inputs, bias])
    case(f"convolution, relu, pool: {text}", "convolutionReluPool", layers("relu", "pool"), inputs)


def first_layers(statistics, dense):
    def compute(image, w, b, *parameters):
        mean, std = (torch.tensor(statistics[key], dtype=torch.float64) for key in ("mean", "std"))
        y = F.max_pool2d(torch.relu(F.conv2d(((image / 255 - mean) / std).permute(0, 3, 1, 2), w, b, padding=1)), 2)
        return F.linear(y.flatten(1), *parameters) if dense else y
    return compute


for n, channels, o, height, width in [(3, 3, 4, 6, 8), (1, 1, 2, 4, 4), (2, 3, 3, 2, 4), (2, 3, 2, 4, 2)]:
    statistics = {"mean": [0.5, 0.4, 0.3][:channels], "std": [0.25, 0.3, 0.2][:channels]}
    layers_inputs = [("byte", (n, height, width, channels)), ("small", (o, channels, 3, 3)), ("small", (o,))]
    text = f"{n}x{height}x{width}x{channels} to {o}"
    case(f"image to pool: {text}", "imageToPool", first_layers(statistics, False), layers_inputs, statistics)
    dense_inputs = [("value", (5, o * height * width // 4)), ("value", (5,))]
    case(f"image to dense: {text}", "imageToDense", first_layers(statistics, True), [*layers_inputs, *dense_inputs], statistics)


def residual(x, w, v):
    y = torch.relu(F.conv2d(x, w, padding=1))
    return F.avg_pool2d(y + F.conv2d(y, v, padding=1) + y, 2)


case("branches whose gradients add", "residual", residual, [("value", (2, 3, 6, 6)), ("small", (3, 3, 3, 3)), ("small", (3, 3, 3, 3))])


def inception(x, w, v):
    a, b, c = F.conv2d(x, w, padding=1), F.conv2d(x, v), F.max_pool2d(x, 3, 1, 1)
    return torch.relu(torch.cat([a, b, c], 1))


case("branches that are concatenated", "inception", inception, [("value", (2, 3, 5, 6)), ("small", (4, 3, 3, 3)), ("small", (2, 3, 1, 1))])

path = pathlib.Path("packages/graph/testdata/operators.json")
path.parent.mkdir(parents=True, exist_ok=True)
head = json.dumps({"torch": torch.__version__})[:-1]
path.write_text(head + ', "cases": [\n' + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in CASES) + "\n]}\n")
print(len(CASES), "cases,", path.stat().st_size, "bytes")
