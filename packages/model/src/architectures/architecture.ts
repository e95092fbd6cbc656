import type { LayerSpec } from "@lockstep/spec";
import type { NetworkInput } from "../network.js";

/** A number that a spec may set under model.parameters. */
export interface ArchitectureParameter {
  readonly default: number;
  /** Lowest and highest allowed value. */
  readonly range: readonly [number, number];
  readonly whole: boolean;
  /** One line, for people. */
  readonly meaning: string;
}

/** A network written once for every image size and class count. */
export interface Architecture {
  /** One line, for people. */
  readonly meaning: string;
  readonly parameters: Readonly<Record<string, ArchitectureParameter>>;
  /** The layers; `parameters` holds every parameter, checked. */
  layers(input: NetworkInput, classes: number, parameters: Readonly<Record<string, number>>): LayerSpec[];
}
