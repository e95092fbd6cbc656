import type { Architecture } from "./architecture.js";

/** The guide's network: 16 filters of 3x3, ReLU, pooling by 2, one fully connected layer. 41,418 parameters at 32x32x3, 10 classes. */
export const simpleCnn: Architecture = {
  meaning: "one convolution and one fully connected layer: a baseline, and a quick test",
  layers: (_input, classes) => [
    { type: "conv2d", name: "conv1", filters: 16, kernel: 3, padding: 1 },
    { type: "relu", name: "relu1" },
    { type: "max-pool", name: "pool1", kernel: 2 },
    { type: "flatten", name: "flatten" },
    { type: "dense", name: "fc1", units: classes },
  ],
};
