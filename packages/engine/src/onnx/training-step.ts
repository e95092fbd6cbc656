// A network's two programs. A training step is one graph: normalise, forward, loss and the gradient of every parameter, each
// written straight to its place in the flat vector, with batch statistics behind the gradients. An evaluation stops at the loss.
import { differentiate, encode, GraphBuilder, lower, print, type Value } from "@lockstep/graph";
import type { Layout, LayoutEntry, Network } from "@lockstep/model";
import type { Normalization } from "@lockstep/spec";
import { forward } from "./forward.js";
import type { Program, ProgramInput, ProgramOutput } from "./program.js";

export interface ProgramSource {
  readonly network: Network;
  readonly layout: Layout;
  readonly normalize: Normalization;
}

/** A program, and its graph as text: what the bits of its results depend on. */
export interface BuiltProgram {
  readonly program: Program;
  readonly text: string;
}

export type ProgramKind = "train" | "evaluate";

export function programKey(kind: ProgramKind, samples: number): string {
  return `${kind}/${samples}`;
}

export function buildProgram(kind: ProgramKind, source: ProgramSource, samples: number): BuiltProgram {
  return kind === "train" ? buildTrainingStep(source, samples) : buildEvaluation(source, samples);
}

/** Inputs: every parameter, pixels, labels, dropout masks. Outputs: gradients, batch statistics, losses, logits. */
function buildTrainingStep(source: ProgramSource, samples: number): BuiltProgram {
  const { network, layout } = source;
  const draft = new ProgramDraft("train", source, samples);
  const parameters = layout.parameters.map((entry) => draft.stateInput(entry, entry.offset));
  const logits = forward(draft.graph, network, {
    ...draft.forwardSource,
    training: {
      mask: (layer, shape) => draft.dropoutInput(layer, shape),
      statistic: (name, value) => draft.statisticOutput(name, value),
    },
  });
  const loss = draft.lossOutput(logits);
  differentiate(draft.graph, loss, parameters).forEach((gradient, index) => {
    const entry = layout.parameters[index];
    if (entry !== undefined) draft.vectorOutput(`gradient:${entry.name}`, gradient, entry.offset);
  });
  return draft.finish();
}

/** Inputs: parameters, running statistics, pixels, labels. Outputs: losses, logits. */
function buildEvaluation(source: ProgramSource, samples: number): BuiltProgram {
  const { network, layout } = source;
  const draft = new ProgramDraft("evaluate", source, samples);
  for (const entry of layout.parameters) draft.stateInput(entry, entry.offset);
  for (const entry of layout.statistics) draft.stateInput(entry, layout.parameterCount + entry.offset);
  draft.lossOutput(forward(draft.graph, network, draft.forwardSource));
  return draft.finish();
}

/** A graph together with what is known of its inputs and outputs. */
class ProgramDraft {
  readonly graph: GraphBuilder;
  readonly forwardSource: { readonly image: Value; readonly normalize: Normalization; tensor(name: string): Value };
  readonly #kind: ProgramKind;
  readonly #source: ProgramSource;
  readonly #samples: number;
  readonly #inputs: ProgramInput[] = [];
  readonly #outputs: ProgramOutput[] = [];
  readonly #tensors = new Map<string, Value>();

  constructor(kind: ProgramKind, source: ProgramSource, samples: number) {
    const { channels, height, width } = source.network.input;
    this.#kind = kind;
    this.#source = source;
    this.#samples = samples;
    this.graph = new GraphBuilder(kind);
    const shape = [samples, height, width, channels];
    this.#inputs.push({ name: "image", shape, from: "pixels" });
    this.forwardSource = {
      image: this.graph.input("image", "uint8", shape),
      normalize: source.normalize,
      tensor: (name) => this.#tensor(name),
    };
  }

  stateInput(entry: LayoutEntry, offset: number): Value {
    const value = this.graph.input(entry.name, "float32", entry.shape);
    this.#inputs.push({ name: entry.name, shape: entry.shape, from: "state", offset });
    this.#tensors.set(entry.name, value);
    return value;
  }

  dropoutInput(layer: string, shape: readonly number[]): Value {
    const rate = this.#source.network.layers.find((each) => each.name === layer && each.type === "dropout");
    if (rate?.type !== "dropout") throw new Error(`${layer} is no dropout layer`);
    const name = `mask:${layer}`;
    this.#inputs.push({ name, shape, from: "dropout", layer, rate: rate.rate });
    return this.graph.input(name, "uint8", shape);
  }

  statisticOutput(name: string, value: Value): void {
    const { statistics, parameterCount } = this.#source.layout;
    const entry = statistics.find((each) => each.name === name);
    if (entry === undefined) throw new Error(`the layout has no statistic ${name}`);
    this.vectorOutput(`statistic:${name}`, value, parameterCount + entry.offset);
  }

  vectorOutput(name: string, value: Value, offset: number): void {
    this.graph.output(name, value);
    this.#outputs.push({ name, shape: value.shape, to: "vector", offset });
  }

  /** Declares losses and logits and returns the scalar that gradients are taken of: the sum over samples. */
  lossOutput(logits: Value): Value {
    const labels = this.graph.input("labels", "int32", [this.#samples]);
    this.#inputs.push({ name: "labels", shape: labels.shape, from: "labels" });
    const losses = this.graph.softmaxCrossEntropy(logits, labels);
    this.graph.output("losses", losses);
    this.#outputs.push({ name: "losses", shape: losses.shape, to: "losses" });
    this.graph.output("logits", logits);
    this.#outputs.push({ name: "logits", shape: logits.shape, to: "logits" });
    return this.graph.softmaxCrossEntropySum(logits, labels);
  }

  finish(): BuiltProgram {
    const lowered = lower(this.graph.finish());
    const program: Program = {
      key: programKey(this.#kind, this.#samples),
      samples: this.#samples,
      model: encode(lowered),
      inputs: this.#inputs,
      outputs: this.#outputs,
    };
    return { program, text: print(lowered) };
  }

  #tensor(name: string): Value {
    const value = this.#tensors.get(name);
    if (value === undefined) throw new Error(`the layout has no tensor ${name}`);
    return value;
  }
}
