/** The flags that fill a job spec: one table for parsing, help and the fields that errors name. Values are checked by parseJobSpec. */
import { InputError } from "@lockstep/spec";

/** Fields of a spec, by path, as a flag sets them. */
export type Fields = readonly (readonly [path: string, value: unknown])[];

export interface Flag {
  /** Without the dashes. */
  readonly name: string;
  /** What stands for the value in help; undefined for a flag without one. */
  readonly value: string | undefined;
  readonly meaning: string;
  readonly group: FlagGroup;
}

export const flagGroups = ["Data", "Model and training", "Cluster", "Run"] as const;
export type FlagGroup = (typeof flagGroups)[number];

export interface SpecFlag extends Flag {
  /** The fields for a value, in the form that a spec file would have. */
  readonly fields: (value: string) => Fields;
}

const text = (path: string) => (value: string) => [[path, value]] as const;

/** A number where it reads as one; else the text, for the parser to refuse. */
const number = (path: string) => (value: string) => [[path, numberOrText(value)]] as const;

function numberOrText(value: string): number | string {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : value;
}

const specFlag = (
  group: FlagGroup,
  name: string,
  value: string | undefined,
  meaning: string,
  fields: SpecFlag["fields"],
): SpecFlag => ({ group, name, value, meaning, fields });

export const specFlags: readonly SpecFlag[] = [
  specFlag(
    "Data",
    "image-size",
    "PIXELS",
    "side of the images, or HEIGHTxWIDTH (default: the format's own, else 64)",
    text("dataset.imageSize"),
  ),
  specFlag(
    "Data",
    "channels",
    "1|3",
    "grey or colour (default: 1 for MNIST-style files, else 3)",
    number("dataset.channels"),
  ),
  specFlag("Data", "split", "T/V/T", "shares for training, validation, test (default 0.8/0.1/0.1)", splitFields),
  specFlag("Data", "split-seed", "N", "draws the split (default 0)", number("dataset.split.seed")),
  specFlag(
    "Data",
    "resize",
    "crop|stretch",
    "shorter side to size and centre crop, or both sides to size (default crop)",
    text("preprocess.resize"),
  ),
  specFlag(
    "Data",
    "normalize",
    "HOW",
    "measured, none, or MEAN/STD as 0.5,0.5,0.5/0.2,0.2,0.2 (default measured)",
    normalizeFields,
  ),
  specFlag("Data", "augment", "LIST", "flip, crop=PIXELS, or both, as flip,crop=4 (default none)", augmentFields),
  specFlag(
    "Model and training",
    "model",
    "NAME",
    "simple-cnn or small-cnn, with parameters as small-cnn:width=24,dropout=0.2 (default small-cnn)",
    text("model"),
  ),
  specFlag(
    "Model and training",
    "epochs",
    "N",
    "passes over the training images (default 15)",
    number("training.epochs"),
  ),
  specFlag(
    "Model and training",
    "batch-size",
    "N",
    "images in a global batch, whatever the number of workers (default 32)",
    number("training.batchSize"),
  ),
  specFlag(
    "Model and training",
    "micro-batches",
    "N",
    "parts of a global batch (default batch size / 16, a power of two, 1 to 8)",
    number("training.microBatches"),
  ),
  specFlag("Model and training", "optimizer", "NAME", "sgd, adam or adamw (default adam)", text("optimizer.name")),
  specFlag(
    "Model and training",
    "lr",
    "RATE",
    "learning rate (default 0.001; for sgd 0.01)",
    number("optimizer.learningRate"),
  ),
  specFlag("Model and training", "momentum", "SHARE", "of sgd (default 0.9)", number("optimizer.momentum")),
  specFlag("Model and training", "nesterov", undefined, "Nesterov's momentum, of sgd", () => [
    ["optimizer.nesterov", true],
  ]),
  specFlag(
    "Model and training",
    "weight-decay",
    "RATE",
    "(default 0; for adamw 0.01)",
    number("optimizer.weightDecay"),
  ),
  specFlag(
    "Model and training",
    "seed",
    "N",
    "keys initial weights, order, augmentation, dropout (default 0)",
    number("seed"),
  ),
  specFlag(
    "Cluster",
    "workers",
    "N",
    "processes that compute, at most one a micro-batch; weights do not depend on it (default 1)",
    number("cluster.workers"),
  ),
  specFlag(
    "Cluster",
    "data-shards",
    "N",
    "processes that read and decode images (default 1)",
    number("cluster.dataShards"),
  ),
  specFlag(
    "Cluster",
    "threads",
    "N",
    "threads that all processes share (default: as many as cores)",
    number("cluster.threads"),
  ),
  specFlag(
    "Cluster",
    "cache-mib",
    "MIB",
    "decoded images that each data-shard keeps (default 1024)",
    number("cluster.cacheMiB"),
  ),
  specFlag("Run", "name", "NAME", "the run's name (default: the dataset folder's)", text("name")),
];

function splitFields(value: string): Fields {
  const shares = value.split("/");
  if (shares.length < 2 || shares.length > 3) {
    throw new InputError({
      where: "--split",
      found: `"${value}"`,
      allowed: "TRAIN/VALIDATION/TEST, such as 0.8/0.1/0.1",
    });
  }
  const names = ["train", "validation", "test"];
  return names.map((name, index) => [`dataset.split.${name}`, numberOrText(shares[index] ?? "0")] as const);
}

function normalizeFields(value: string): Fields {
  if (!value.includes("/")) return [["preprocess.normalize", value]];
  const [mean = "", std = ""] = value.split("/");
  const numbers = (list: string) => list.split(",").map(numberOrText);
  return [
    ["preprocess.normalize.mean", numbers(mean)],
    ["preprocess.normalize.std", numbers(std)],
  ];
}

function augmentFields(value: string): Fields {
  if (value === "none")
    return [
      ["augmentation.horizontalFlip", 0],
      ["augmentation.randomCropPadding", 0],
    ];
  return value.split(",").map((part) => {
    const [name, amount] = part.split("=", 2);
    if (name === "flip")
      return ["augmentation.horizontalFlip", amount === undefined ? 0.5 : numberOrText(amount)] as const;
    if (name === "crop")
      return ["augmentation.randomCropPadding", amount === undefined ? 4 : numberOrText(amount)] as const;
    throw new InputError({
      where: "--augment",
      found: `"${part}"`,
      allowed: "flip, flip=PROBABILITY, crop=PIXELS, none, with commas between",
    });
  });
}
