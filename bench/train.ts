// Images per second of training simple-cnn on 32x32 images: the bare engine and `lockstep train` itself against PyTorch, paired.
//
//   node bench/dist/train.js --torch PYTHON [--threads 1,2] [--batch 32,128] [--rounds 15] [--product-rounds 3] [--only engine|product] [--markdown]
//
// A round is a short block of PyTorch eager, one of PyTorch channels_last and one of ours, while the others are idle; its ratio is
// ours over the better of PyTorch's two. Reported: the median of the rounds and their spread. Every side does the whole step:
// forward, backward and Adam; images are in memory (decoded, for `lockstep train`).
import { parseArgs } from "node:util";
import { measureEngine } from "./train/engine.js";
import { measureProduct } from "./train/product.js";
import { type Comparison, printTable } from "./train/report.js";
import { TorchPeer } from "./train/torch-peer.js";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      torch: { type: "string" },
      threads: { type: "string", default: "1,2" },
      batch: { type: "string", default: "32,128" },
      rounds: { type: "string", default: "15" },
      "product-rounds": { type: "string", default: "3" },
      only: { type: "string" },
      markdown: { type: "boolean", default: false },
    },
  });
  if (values.torch === undefined) throw new Error("--torch PYTHON is needed: a Python that can import PyTorch 2.15");
  const batches = values.batch.split(",").map(Number);
  const comparisons: Comparison[] = [];
  let version = "";
  for (const threads of values.threads.split(",").map(Number)) {
    const torch = await TorchPeer.start(values.torch, threads);
    version = torch.version;
    try {
      for (const batch of batches) {
        const setting = { threads, batch };
        if (values.only !== "product") comparisons.push(await measureEngine(torch, setting, Number(values.rounds)));
        if (values.only !== "engine")
          comparisons.push(await measureProduct(torch, setting, Number(values["product-rounds"])));
      }
    } finally {
      await torch.close();
    }
  }
  printTable(comparisons, { torch: version, markdown: values.markdown });
}

await main();
