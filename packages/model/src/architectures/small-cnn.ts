import type { LayerSpec } from "@lockstep/spec";
import type { Architecture } from "./architecture.js";

/** Convolution blocks, each halving the image, then a global average: few parameters, so few thousand samples are enough. */
export const smallCnn: Architecture = {
  meaning: "a few convolution blocks with batch normalisation: images of 32 to 128 pixels, from a few thousand samples",
  parameters: {
    width: {
      default: 16,
      range: [4, 256],
      whole: true,
      meaning: "filters of the first block; each further block has twice as many",
    },
    dropout: { default: 0, range: [0, 0.9], whole: false, meaning: "share of features left out before the last layer" },
  },
  layers(_input, classes, { width = 16, dropout = 0 }) {
    const layers: LayerSpec[] = [
      { type: "conv2d", name: "conv1", filters: width, kernel: 3, padding: 1 },
      { type: "relu", name: "relu1" },
      { type: "max-pool", name: "pool1", kernel: 2 },
    ];
    for (const block of [2, 3, 4]) {
      layers.push(
        { type: "conv2d", name: `conv${block}`, filters: width * 2 ** (block - 1), kernel: 3, padding: 1, bias: false },
        { type: "batch-norm", name: `bn${block}` },
        { type: "relu", name: `relu${block}` },
        { type: "max-pool", name: `pool${block}`, kernel: 2 },
      );
    }
    layers.push({ type: "global-average-pool", name: "average" });
    if (dropout > 0) layers.push({ type: "dropout", name: "dropout", rate: dropout });
    layers.push({ type: "dense", name: "fc", units: classes });
    return layers;
  },
};
