/**
 * Job specs: YAML or JSON text, or an object, to a JobSpec. The one place where a spec's fields, ranges and defaults are
 * checked; docs/job-spec.md shows them as a table. Parsing the JSON of a JobSpec gives the same JobSpec again.
 */
import { basename, resolve } from "node:path";
import { parse as parseYaml } from "yaml";
import { InputError } from "./input-error.js";
import type {
  AugmentationSpec,
  ClusterSpec,
  DatasetSpec,
  ImageSize,
  JobSpec,
  Normalization,
  OptimizerSpec,
  PreprocessSpec,
  TrainingSpec,
} from "./job-spec.js";
import * as limits from "./limits.js";
import { checkMicroBatches, checkWorkers } from "./micro-batches.js";
import { datasetFormats, engineNames, optimizerNames } from "./names.js";
import { parseModel } from "./parse-model.js";
import { type Origin, Section, isMapping, whereOf } from "./section.js";

export interface ParseOptions {
  /** Begins every error: "job.yaml". */
  readonly origin: string;
  /** Relative dataset paths start here: the spec file's folder, or the working folder. */
  readonly baseFolder: string;
  /** Fields that came from elsewhere than `origin`: "optimizer.learningRate" -> "--lr". */
  readonly fieldOrigins?: ReadonlyMap<string, string>;
}

const sections = ["name", "seed", "dataset", "preprocess", "augmentation", "model", "optimizer", "training", "engine"];

/** @throws InputError for the first field that is not allowed */
export function parseJobSpec(input: string | object, options: ParseOptions): JobSpec {
  const origin: Origin = { name: options.origin, fields: options.fieldOrigins };
  const value = typeof input === "string" ? parseSpecText(input, options.origin) : input;
  const root = new Section(origin, "", value, [...sections, "determinism", "cluster"]);
  const dataset = parseDataset(root, options.baseFolder);
  const spec: JobSpec = {
    name: root.has("name") ? parseName(root) : nameFromPath(dataset.path),
    seed: root.integer("seed", 0, Number.MAX_SAFE_INTEGER, 0),
    dataset,
    preprocess: parsePreprocess(root, dataset.channels),
    augmentation: parseAugmentation(root),
    model: parseModel(origin, "model", root.raw("model")),
    optimizer: parseOptimizer(root),
    training: parseTraining(root),
    engine: { name: root.section("engine", ["name"]).oneOf("name", engineNames, "onnxruntime") },
    determinism: root.oneOf("determinism", ["strict", "relaxed"], "strict"),
    cluster: parseCluster(root),
  };
  checkWorkers(spec.training, spec.cluster, whereOf(origin, "cluster.workers"));
  return spec;
}

/**
 * YAML or JSON text as a plain mapping, nothing else checked: for flags to be laid over it before parseJobSpec.
 * @throws InputError
 */
export function parseSpecText(text: string, origin: string): Readonly<Record<string, unknown>> {
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.specBytesMax) {
    throw new InputError({
      where: origin,
      found: `${bytes} bytes`,
      allowed: `a job spec of at most ${limits.specBytesMax} bytes`,
    });
  }
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: limits.aliasesMax, logLevel: "error", prettyErrors: true });
  } catch (thrown) {
    const sentence =
      thrown instanceof Error ? (thrown.message.split("\n", 1)[0] ?? "").replace(/:$/, "") : String(thrown);
    throw new InputError({
      where: origin,
      found: `a fault in the text (${sentence})`,
      allowed: "YAML or JSON",
      cause: thrown,
    });
  }
  if (!isMapping(value)) {
    const found = value === null || value === undefined ? "an empty file" : "no mapping";
    throw new InputError({ where: origin, found, allowed: "a mapping of a job spec's fields, dataset and others" });
  }
  return value;
}

const namePattern = /^[a-z0-9][a-z0-9._-]*$/;

function parseName(root: Section): string {
  const name = root.raw("name");
  if (typeof name === "string" && namePattern.test(name) && name.length <= limits.nameCharactersMax) return name;
  throw root.wrong(
    "name",
    `1 to ${limits.nameCharactersMax} of a-z, 0-9, ".", "_", "-", starting with a letter or digit`,
  );
}

/** "/photos/My Cats (2024)" gives "my-cats-2024". */
function nameFromPath(path: string): string {
  const name = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
    .slice(0, limits.nameCharactersMax);
  return name === "" ? "run" : name;
}

function parseDataset(root: Section, baseFolder: string): DatasetSpec {
  const given = root.raw("dataset");
  const value = typeof given === "string" ? { path: given } : (given ?? {});
  const dataset = new Section(root.origin, "dataset", value, ["path", "format", "imageSize", "channels", "split"]);
  const path = dataset.raw("path");
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw dataset.wrong("path", "a folder with one folder of images for each class, or a folder of IDX or CIFAR files");
  }
  const channels = dataset.raw("channels") ?? "auto";
  if (channels !== 1 && channels !== 3 && channels !== "auto")
    throw dataset.wrong("channels", "1 (grey), 3 (colour) or auto");
  return {
    path: resolve(baseFolder, path),
    format: dataset.oneOf("format", [...datasetFormats, "auto"], "auto"),
    imageSize: parseImageSize(dataset),
    channels,
    split: parseSplit(dataset),
  };
}

function parseImageSize(dataset: Section): ImageSize | "auto" {
  const value = dataset.raw("imageSize") ?? "auto";
  if (value === "auto") return value;
  const sideInRange = (side: unknown): side is number =>
    Number.isInteger(side) && (side as number) >= limits.imageSideMin && (side as number) <= limits.imageSideMax;
  const sides = typeof value === "string" ? /^(\d+)(?:x(\d+))?$/i.exec(value) : null;
  const height = isMapping(value) ? value["height"] : sides === null ? value : Number(sides[1]);
  const width = isMapping(value) ? value["width"] : sides === null ? value : Number(sides[2] ?? sides[1]);
  const known = !isMapping(value) || Object.keys(value).every((key) => key === "height" || key === "width");
  if (known && sideInRange(height) && sideInRange(width)) return { height, width };
  const range = `from ${limits.imageSideMin} to ${limits.imageSideMax} pixels`;
  throw dataset.wrong("imageSize", `auto, a side ${range}, or {height, width} (on the command line HEIGHTxWIDTH)`);
}

function parseSplit(dataset: Section): DatasetSpec["split"] {
  const share = { min: 0, max: 1 };
  const split = dataset.section("split", ["train", "validation", "test", "seed"]);
  const train = split.number("train", { above: 0, max: 1 }, 0.8);
  const validation = split.number("validation", share, 0.1);
  const test = split.number("test", share, 0.1);
  const sum = train + validation + test;
  if (sum > 1 + 1e-9) {
    const found = `shares that sum to ${Number(sum.toFixed(6))} (train ${train}, validation ${validation}, test ${test})`;
    throw new InputError({ where: dataset.where("split"), found, allowed: "a sum of at most 1" });
  }
  return { train, validation, test, seed: split.integer("seed", 0, Number.MAX_SAFE_INTEGER, 0) };
}

function parsePreprocess(root: Section, channels: DatasetSpec["channels"]): PreprocessSpec {
  const preprocess = root.section("preprocess", ["resize", "normalize"]);
  return {
    resize: preprocess.oneOf("resize", ["crop", "stretch"], "crop"),
    normalize: parseNormalize(preprocess, channels),
  };
}

function parseNormalize(preprocess: Section, channels: DatasetSpec["channels"]): PreprocessSpec["normalize"] {
  const value = preprocess.raw("normalize") ?? "measured";
  if (value === "measured" || value === "none") return value;
  if (!isMapping(value)) throw preprocess.wrong("normalize", "measured, none, or {mean: [...], std: [...]}");
  const normalize = preprocess.section("normalize", ["mean", "std"]);
  const lengths = channels === "auto" ? [1, 3] : [channels];
  const values = (key: keyof Normalization, allowed: string, good: (value: number) => boolean): readonly number[] => {
    const list = normalize.raw(key);
    const fits = Array.isArray(list) && lengths.includes(list.length);
    if (!fits || !list.every((item) => typeof item === "number" && Number.isFinite(item) && good(item))) {
      throw normalize.wrong(
        key,
        `${lengths.join(" or ")} number${channels === 1 ? "" : "s"} ${allowed}, one a channel`,
      );
    }
    return list as readonly number[];
  };
  const mean = values("mean", "from -10 to 10", (item) => Math.abs(item) <= 10);
  const std = values("std", "above 0 and at most 100", (item) => item > 0 && item <= 100);
  if (mean.length !== std.length) throw normalize.wrong("std", `as many numbers as mean has: ${mean.length}`);
  return { mean, std };
}

function parseAugmentation(root: Section): AugmentationSpec {
  const augmentation = root.section("augmentation", ["horizontalFlip", "randomCropPadding"]);
  return {
    horizontalFlip: augmentation.number("horizontalFlip", { min: 0, max: 1 }, 0),
    randomCropPadding: augmentation.integer("randomCropPadding", 0, limits.cropPaddingMax, 0),
  };
}

function parseOptimizer(root: Section): OptimizerSpec {
  const fields = {
    sgd: ["momentum", "nesterov"],
    adam: ["beta1", "beta2", "epsilon"],
    adamw: ["beta1", "beta2", "epsilon"],
  };
  const given = root.raw("optimizer");
  const value = typeof given === "string" ? { name: given } : (given ?? {});
  const all = ["name", "learningRate", "weightDecay", ...fields.sgd, ...fields.adam];
  const any = new Section(root.origin, "optimizer", value, all);
  const name = any.oneOf("name", optimizerNames, "adam");
  for (const key of [...fields.sgd, ...fields.adam]) {
    if (any.has(key) && !fields[name].includes(key)) {
      const has = ["learningRate", "weightDecay", ...fields[name]].join(", ");
      throw new InputError({ where: any.where(key), found: `a field that ${name} does not have`, allowed: has });
    }
  }
  const learningRate = any.number("learningRate", { above: 0, max: 1_000 }, name === "sgd" ? 0.01 : 0.001);
  const weightDecay = any.number("weightDecay", { min: 0, max: 1_000 }, name === "adamw" ? 0.01 : 0);
  if (name !== "sgd") {
    const beta = { min: 0, below: 1 };
    const beta1 = any.number("beta1", beta, 0.9);
    const beta2 = any.number("beta2", beta, 0.999);
    return {
      name,
      learningRate,
      beta1,
      beta2,
      epsilon: any.number("epsilon", { above: 0, max: 1 }, 1e-8),
      weightDecay,
    };
  }
  const momentum = any.number("momentum", { min: 0, below: 1 }, 0.9);
  const nesterov = any.boolean("nesterov", false);
  if (nesterov && momentum === 0) throw any.wrong("nesterov", "false, or a momentum above 0");
  return { name, learningRate, momentum, nesterov, weightDecay };
}

function parseTraining(root: Section): TrainingSpec {
  const training = root.section("training", ["epochs", "batchSize", "microBatches"]);
  const epochs = training.integer("epochs", 1, limits.epochsMax, 15);
  const batchSize = training.integer("batchSize", 1, limits.batchSizeMax, 32);
  const given = training.raw("microBatches") ?? "auto";
  if (given !== "auto" && typeof given !== "number") throw training.wrong("microBatches", "auto or a whole number");
  const microBatches = given === "auto" ? given : training.integer("microBatches", 1, limits.microBatchesMax);
  const parsed: TrainingSpec = { epochs, batchSize, microBatches };
  checkMicroBatches(parsed, training.where("microBatches"));
  return parsed;
}

function parseCluster(root: Section): ClusterSpec {
  const cluster = root.section("cluster", ["workers", "dataShards", "threads", "cacheMiB"]);
  return {
    workers: cluster.integer("workers", 1, limits.workersMax, 1),
    dataShards: cluster.integer("dataShards", 1, limits.dataShardsMax, 1),
    threads: cluster.integer("threads", 0, limits.threadsMax, 0),
    cacheMiB: cluster.integer("cacheMiB", 1, limits.cacheMiBMax, 1024),
  };
}
