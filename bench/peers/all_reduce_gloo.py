"""A rank of PyTorch's all_reduce over gloo; the same questions and answers as rank-process.ts."""

import json
import sys
import time

import torch
import torch.distributed as dist

rank, ranks, port = (int(word) for word in sys.argv[1:4])
torch.set_num_threads(1)
print(json.dumps({"listening": "", "version": torch.__version__}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if "addresses" in message:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
        print(json.dumps({"connected": True}), flush=True)
        continue
    values = message["bytes"] // 4
    given = (torch.arange(values) % 7 + rank).float()
    vector = torch.empty(values)
    seconds = 0.0
    for _ in range(message["repeats"]):
        vector.copy_(given)
        start = time.perf_counter()
        dist.all_reduce(vector)
        seconds += time.perf_counter() - start
    assert vector[0] == ranks * (ranks - 1) / 2
    print(json.dumps({"seconds": seconds}), flush=True)
