"""The integer formula that stands in for stored inputs: references and tests compute the same numbers from (stream, index).

    x = (index + 1 + 1000003 * stream) mod 2^32
    x ^= x >> 16;  x = x * 0x45d9f3b mod 2^32      (this line twice)
    x ^= x >> 16

value(stream, index) = (x >> 8) / 2^23 - 1, in [-1, 1) and exact in float32; byte(stream, index) = x >> 24.
"""

import torch


def words(stream, count):
    x = (torch.arange(count, dtype=torch.int64) + 1 + 1000003 * stream) & 0xFFFFFFFF
    for _ in range(2):
        x ^= x >> 16
        x = (x * 0x45D9F3B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def values(stream, count):
    return (words(stream, count) >> 8).to(torch.float64) / 2**23 - 1


def bytes_(stream, count):
    return words(stream, count) >> 24


def rounded(tensor):
    """Nine significant digits: enough for float32, short in JSON."""
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]
