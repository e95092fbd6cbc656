"""Small CIFAR batches as Python writes them, for packages/dataset/src/cifar.test.ts.

    python scripts/references/cifar_batches.py

"python2" has the layout of the published files (protocol 2, written by Python 2: strings are byte strings); "python3" is what
pickle.dump(..., protocol=2) of Python 3 makes of the same values. Both are read back here as torchvision reads them
(encoding="latin1") before they are recorded.
"""

import base64
import hashlib
import io
import json
import pickle
import struct
import sys
from pathlib import Path

import numpy

OUT = Path(__file__).resolve().parents[2] / "packages" / "dataset" / "testdata" / "cifar-batches.json"


class Python2Pickler(pickle._Pickler):
    """Writes str and bytes as Python 2 wrote its str: SHORT_BINSTRING or BINSTRING."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_byte_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = save_byte_string
    dispatch[bytes] = save_byte_string


def python2(value) -> bytes:
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(value)
    # The published files name NumPy's functions as they were called then.
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def python3(value) -> bytes:
    return pickle.dumps(value, protocol=2)


def recorded(write, value) -> str:
    content = write(value)
    read = pickle.loads(content, encoding="latin1")
    assert list(read) == list(value)
    for key, expected in value.items():
        assert numpy.array_equal(read[key], expected), key
    return base64.b64encode(content).decode()


def main():
    draw = numpy.random.default_rng(20240607)
    data = draw.integers(0, 256, size=(3, 3072), dtype=numpy.uint8)
    names = ["airplane", "automobile", "bird"]
    ten = {"batch_label": "training batch 1 of 5", "labels": [2, 0, 1], "data": data, "filenames": ["a.png", "b.png", "c.png"]}
    hundred = {"filenames": ["a.png", "b.png", "c.png"], "batch_label": "", "fine_labels": [1, 1, 0], "coarse_labels": [0, 1, 0], "data": data}
    record = {
        "source": f"Python {sys.version.split()[0]}, NumPy {numpy.__version__}",
        "dataSha256": hashlib.sha256(data.tobytes()).hexdigest(),
        "names": names,
        "ten": {"labels": ten["labels"]},
        "hundred": {"labels": hundred["fine_labels"]},
    }
    for form, write in (("python2", python2), ("python3", python3)):
        record[form] = {
            "ten": recorded(write, ten),
            "tenMeta": recorded(write, {"num_cases_per_batch": 10000, "label_names": names, "num_vis": 3072}),
            "hundred": recorded(write, hundred),
            "hundredMeta": recorded(write, {"fine_label_names": names, "coarse_label_names": ["x", "y"]}),
        }
    # What a reader must refuse: a call of any other function, another type of array, another protocol.
    record["refused"] = {
        "call": base64.b64encode(b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.").decode(),
        "builtin": base64.b64encode(b"\x80\x02c__builtin__\neval\nU\x011\x85R.").decode(),
        "float array": base64.b64encode(python2({"data": data.astype(numpy.float32)[:, :4], "labels": [0, 0, 0]})).decode(),
        "fortran order": base64.b64encode(python2({"data": numpy.asfortranarray(data[:, :4]), "labels": [0, 0, 0]})).decode(),
        "protocol 4": base64.b64encode(pickle.dumps(ten, protocol=4)).decode(),
        "cut short": base64.b64encode(python2(ten)[:-100]).decode(),
        "object": base64.b64encode(pickle.dumps(Path("/"), protocol=2)).decode(),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
