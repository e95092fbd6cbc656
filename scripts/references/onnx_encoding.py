"""Records a small model as the onnx package itself encodes it, for packages/graph/src/encode.test.ts.

Run from the repository's root: python scripts/references/onnx_encoding.py   (needs onnx)

Writes packages/graph/testdata/encoding.json: {onnx: version, bytes: the ModelProto in hexadecimal}. The model, which the test
builds again: inputs x float32 [N, 300], mask uint8 [2, 3]; constants of every element type; nodes with every kind of attribute.
"""

import json
import pathlib

import onnx
from onnx import TensorProto as T, helper as h

tensor = lambda name, kind, shape, raw: onnx.TensorProto(name=name, data_type=kind, dims=shape, raw_data=raw)
port = lambda name, kind, shape: h.make_tensor_value_info(name, kind, shape)
node = lambda kind, inputs, outputs, **attributes: h.make_node(kind, inputs, outputs, name=outputs[0], **attributes)


def in_order(node, names):
    """make_node sorts attributes by name; here they keep the order in which they are given."""
    found = {attribute.name: attribute for attribute in node.attribute}
    ordered = [onnx.AttributeProto.FromString(found[name].SerializeToString()) for name in names]
    del node.attribute[:]
    node.attribute.extend(ordered)
    return node


graph = onnx.GraphProto(name="a graph, ünïcode")
graph.node.extend([
    in_order(node("Conv", ["x", "c1"], ["t1"], strides=[1, 300], kernel_shape=[3, 3], auto_pad="NOTSET"), ["strides", "kernel_shape", "auto_pad"]),
    in_order(node("BatchNormalization", ["t1"], ["t2", "t3"], epsilon=1e-5, training_mode=1, axis=-1), ["epsilon", "training_mode", "axis"]),
])
graph.initializer.extend([
    tensor("c1", T.FLOAT, [2], bytes.fromhex("0000803f000020c0")),  # 1, -2.5
    tensor("c2", T.INT64, [2], (-1).to_bytes(8, "little", signed=True) + (2**40).to_bytes(8, "little")),
    tensor("c3", T.INT32, [1], (-7).to_bytes(4, "little", signed=True)),
    tensor("c4", T.UINT8, [3], bytes([0, 128, 255])),
    tensor("c5", T.BOOL, [1, 1], bytes([1])),
    tensor("c6", T.FLOAT, [], bytes(4)),
])
graph.input.extend([port("x", T.FLOAT, ["N", 300]), port("mask", T.UINT8, [2, 3])])
graph.output.extend([port("t2", T.FLOAT, []), port("t3", T.INT32, [1])])
model = onnx.ModelProto(ir_version=9, producer_name="lockstep", graph=graph)
model.opset_import.extend([h.make_opsetid("", 18)])
for key, value in (("classes", '["cat","dög"]'), ("empty", "")):
    entry = model.metadata_props.add()
    entry.key, entry.value = key, value

path = pathlib.Path("packages/graph/testdata/encoding.json")
path.write_text(json.dumps({"onnx": onnx.__version__, "bytes": model.SerializeToString().hex()}) + "\n")
