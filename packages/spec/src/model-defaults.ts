/** What the fields of a model mean where a spec leaves them out: for the parser, which writes them out, and for networks made in code. */
import { InputError } from "./input-error.js";
import type { LayerSpec } from "./job-spec.js";
import type { ArchitectureName } from "./names.js";

/** A number that a spec may set under model.parameters. */
export interface ArchitectureParameter {
  readonly default: number;
  /** Lowest and highest allowed value. */
  readonly range: readonly [number, number];
  readonly whole: boolean;
  /** One line, for people. */
  readonly meaning: string;
}

/** The parameters of each architecture. */
export const architectureParameters = {
  "simple-cnn": {},
  "small-cnn": {
    width: {
      default: 16,
      range: [4, 256],
      whole: true,
      meaning: "filters of the first block; each further one has twice as many, up to 8 times",
    },
    dropout: {
      default: 0,
      range: [0, 0.9],
      whole: false,
      meaning: "share of features left out before the last layer, in training",
    },
  },
} as const satisfies Readonly<Record<ArchitectureName, Readonly<Record<string, ArchitectureParameter>>>>;

/**
 * Every parameter of an architecture: what is given, and defaults.
 * @param whereOf a parameter's place in the spec, for errors
 * @throws InputError for a parameter that the architecture does not have, or outside its range
 */
export function resolveParameters(
  architecture: ArchitectureName,
  given: Readonly<Record<string, number>>,
  whereOf = (name: string) => `model.parameters.${name}`,
): Readonly<Record<string, number>> {
  const table: Readonly<Record<string, ArchitectureParameter>> = architectureParameters[architecture];
  const known = Object.keys(table);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    throw new InputError({
      where: whereOf(name),
      found: `a parameter that ${architecture} does not have`,
      allowed: known.length === 0 ? "no parameters" : known.join(", "),
    });
  }
  const resolved = Object.entries(table).map(([name, { default: fallback, range, whole }]): [string, number] => {
    const value = given[name] ?? fallback;
    if (value >= range[0] && value <= range[1] && (!whole || Number.isInteger(value))) return [name, value];
    const allowed = `a ${whole ? "whole " : ""}number from ${range[0]} to ${range[1]}`;
    throw new InputError({ where: whereOf(name), found: String(value), allowed });
  });
  return Object.fromEntries(resolved);
}

/** The stride of a pooling layer is its kernel; momentum and epsilon are PyTorch's. */
export const layerDefaults = { stride: 1, padding: 0, bias: true, momentum: 0.1, epsilon: 1e-5 } as const;

/** The names given, and for the others type and number: "conv2d1", "relu1", "conv2d2". First weights are keyed by them. */
export function layerNames(layers: readonly Pick<LayerSpec, "type" | "name">[]): string[] {
  const counts = new Map<string, number>();
  return layers.map(({ type, name }) => {
    const count = (counts.get(type) ?? 0) + 1;
    counts.set(type, count);
    return name ?? `${type}${count}`;
  });
}
