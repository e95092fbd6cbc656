/**
 * The model of a spec: an architecture's name with parameters, or a list of layers, with every default written out. Shapes are
 * checked where networks are built.
 */
import { InputError } from "./input-error.js";
import type { LayerSpec, ModelSpec } from "./job-spec.js";
import { kernelMax, layersMax, layerWidthMax, nameCharactersMax } from "./limits.js";
import { layerDefaults, layerNames, resolveParameters } from "./model-defaults.js";
import { architectureNames, layerTypes, type ArchitectureName, type LayerType } from "./names.js";
import { Section, type Origin, isMapping, whereOf, wrong } from "./section.js";
import { suggestion } from "./suggestion.js";

/** `value` is a mapping, or short: "small-cnn", "small-cnn:width=24,dropout=0.2". Default: small-cnn. */
export function parseModel(origin: Origin, path: string, value: unknown): ModelSpec {
  if (value === undefined || value === null) return architectureOf("small-cnn", {});
  if (typeof value === "string") return parseShortModel(whereOf(origin, path), value);
  const section = new Section(origin, path, value, ["architecture", "parameters", "layers"]);
  if (!section.has("layers")) {
    const architecture = section.oneOf("architecture", architectureNames, "small-cnn");
    return architectureOf(architecture, parseParameters(section), (name) => section.where(`parameters.${name}`));
  }
  for (const key of ["architecture", "parameters"]) {
    if (section.has(key)) throw section.wrong(key, "either an architecture or a list of layers, not both");
  }
  const layers = section.raw("layers");
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > layersMax) {
    throw section.wrong("layers", `a list of 1 to ${layersMax} layers`);
  }
  const parsed = layers.map((layer, index) => parseLayer(origin, `${path}.layers[${index}]`, layer));
  const names = layerNames(parsed);
  return { layers: parsed.map((layer, index) => ({ ...layer, name: names[index] as string })) };
}

function architectureOf(
  architecture: ArchitectureName,
  given: Readonly<Record<string, number>>,
  whereOfParameter?: (name: string) => string,
): ModelSpec {
  return { architecture, parameters: resolveParameters(architecture, given, whereOfParameter) };
}

function parseParameters(section: Section): Readonly<Record<string, number>> {
  const given = section.raw("parameters") ?? {};
  if (!isMapping(given)) throw section.wrong("parameters", "a mapping of names to numbers");
  const parameters: [string, number][] = [];
  for (const [name, value] of Object.entries(given)) {
    const path = `${section.path}.parameters.${name}`;
    if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(section.origin, path, value, "a number");
    parameters.push([name, value]);
  }
  return Object.fromEntries(parameters);
}

function parseShortModel(where: string, text: string): ModelSpec {
  const [name = "", parameterText] = text.split(/:(.*)/s);
  if (!isArchitecture(name)) {
    const meant = suggestion(name, architectureNames);
    const names = architectureNames.join(", ");
    const allowed = meant === undefined ? names : `${names} (did you mean "${meant}"?)`;
    throw new InputError({ where, found: JSON.stringify(name.slice(0, 60)), allowed });
  }
  const parameters: [string, number][] = [];
  for (const part of parameterText === undefined ? [] : parameterText.split(",")) {
    const match = /^\s*([A-Za-z][\w-]*)\s*=\s*(\S+)\s*$/.exec(part);
    const value = Number(match?.[2] ?? NaN);
    if (match === null || !Number.isFinite(value)) {
      const allowed = `name=number after "${name}:", as in ${name}:width=24,dropout=0.2`;
      throw new InputError({ where, found: JSON.stringify(part.slice(0, 60)), allowed });
    }
    parameters.push([match[1] as string, value]);
  }
  return architectureOf(name, Object.fromEntries(parameters), (parameter) => `${where}: ${parameter}`);
}

function isArchitecture(name: string): name is ArchitectureName {
  return (architectureNames as readonly string[]).includes(name);
}

const size = [1, layerWidthMax] as const;
const window = [1, kernelMax] as const;

type Read = (layer: Section) => LayerSpec;

/** What each type of layer has beside type, name and inputs. */
const layerFields: Readonly<Record<LayerType, { readonly keys: readonly string[]; readonly read: Read }>> = {
  conv2d: {
    keys: ["filters", "kernel", "stride", "padding", "bias"],
    read: (layer) => ({
      type: "conv2d",
      filters: layer.integer("filters", ...size),
      kernel: layer.integer("kernel", ...window),
      stride: layer.integer("stride", ...window, layerDefaults.stride),
      padding: paddingOf(layer),
      bias: layer.boolean("bias", layerDefaults.bias),
    }),
  },
  relu: { keys: [], read: () => ({ type: "relu" }) },
  "max-pool": { keys: ["kernel", "stride", "padding"], read: (layer) => pool("max-pool", layer) },
  "average-pool": { keys: ["kernel", "stride", "padding"], read: (layer) => pool("average-pool", layer) },
  "global-average-pool": { keys: [], read: () => ({ type: "global-average-pool" }) },
  flatten: { keys: [], read: () => ({ type: "flatten" }) },
  dense: {
    keys: ["units", "bias"],
    read: (layer) => ({
      type: "dense",
      units: layer.integer("units", ...size),
      bias: layer.boolean("bias", layerDefaults.bias),
    }),
  },
  dropout: {
    keys: ["rate"],
    read: (layer) => ({ type: "dropout", rate: layer.number("rate", { min: 0, below: 1 }) }),
  },
  "batch-norm": {
    keys: ["momentum", "epsilon"],
    read: (layer) => ({
      type: "batch-norm",
      momentum: layer.number("momentum", { above: 0, max: 1 }, layerDefaults.momentum),
      epsilon: layer.number("epsilon", { min: 1e-12, max: 1 }, layerDefaults.epsilon),
    }),
  },
  add: { keys: [], read: () => ({ type: "add" }) },
  concat: { keys: [], read: () => ({ type: "concat" }) },
};

function pool(type: "max-pool" | "average-pool", layer: Section): LayerSpec {
  const kernel = layer.integer("kernel", ...window);
  return { type, kernel, stride: layer.integer("stride", ...window, kernel), padding: paddingOf(layer) };
}

function paddingOf(layer: Section): number {
  return layer.integer("padding", 0, window[1], layerDefaults.padding);
}

function optional<Key extends string, Value>(layer: Section, key: Key, read: () => Value): { [K in Key]?: Value } {
  return layer.has(key) ? ({ [key]: read() } as { [K in Key]?: Value }) : {};
}

function parseLayer(origin: Origin, path: string, value: unknown): LayerSpec {
  const allowed = "a layer, such as {type: relu}";
  if (typeof value === "string") return parseLayer(origin, path, { type: value });
  if (!isMapping(value)) throw wrong(origin, path, value, allowed);
  const anyKey = Object.keys(value);
  const type = new Section(origin, path, value, anyKey).oneOf("type", layerTypes);
  const fields = layerFields[type];
  const layer = new Section(origin, path, value, ["type", "name", "inputs", ...fields.keys]);
  return {
    ...fields.read(layer),
    ...optional(layer, "name", () => layerName(layer)),
    ...optional(layer, "inputs", () => layerInputs(layer)),
  };
}

function layerName(layer: Section): string {
  const name = layer.raw("name");
  const good = typeof name === "string" && /^[A-Za-z0-9_-]+$/.test(name) && name.length <= nameCharactersMax;
  if (!good || name === "input") {
    throw layer.wrong("name", `up to ${nameCharactersMax} letters, digits, _ and -, other than "input"`);
  }
  return name;
}

function layerInputs(layer: Section): readonly string[] {
  const inputs = layer.raw("inputs");
  const good = Array.isArray(inputs) && inputs.length > 0 && inputs.length <= layersMax;
  if (!good || !inputs.every((input) => typeof input === "string")) {
    throw layer.wrong("inputs", 'a list of layer names, or "input" for the image');
  }
  return inputs;
}
