/** The end of a run for people: how well it went, and every file that it left. */
import type { SummaryEvent } from "@lockstep/spec";
import { basename } from "node:path";
import { duration, percent, plural, rate } from "./quantities.js";
import { printable, styled, type Terminal } from "./terminal.js";

/** What each file of a run is for. */
const fileMeanings: Readonly<Record<string, string>> = {
  "model.onnx": "the model: image in, probabilities out",
  "checkpoint.safetensors": "parameters and optimiser state",
  "checkpoint.json": "what the checkpoint holds",
  "metrics.jsonl": "every step's numbers",
  "spec.yaml": "the spec, every field resolved",
};

export function summaryText(terminal: Terminal, summary: SummaryEvent, folder: string): string {
  const title = summary.cancelled
    ? styled(terminal, "yellow", `Stopped after ${plural(summary.steps, "step")}; what was trained is saved.`)
    : styled(terminal, "green", `Done: ${plural(summary.epochs, "epoch")}, ${plural(summary.steps, "step")}.`);
  const accuracies = [
    ...(summary.testAccuracy === null ? [] : [`test ${percent(summary.testAccuracy)}`]),
    ...(summary.valAccuracy === null ? [] : [`validation ${percent(summary.valAccuracy)}`]),
  ];
  const speed = summary.imagesPerSecond > 0 ? [rate(summary.imagesPerSecond)] : [];
  const promise = summary.cancelled ? "" : ", the same with any number of workers"; // when a person stops, chance decides where
  const rows: [string, string][] = [
    ["accuracy", accuracies.length === 0 ? "not measured" : accuracies.join(", ")],
    ["time", [duration(summary.seconds), ...speed].join(", ")],
    ["weights", `sha256 ${summary.parametersSha256.slice(0, 16)}...${promise}`],
    ["files", printable(folder)],
  ];
  const files = summary.files.map((path) => fileLine(terminal, path));
  return ["", title, ...rows.map(([name, value]) => `  ${name.padEnd(9)} ${value}`), ...files, ""].join("\n");
}

function fileLine(terminal: Terminal, path: string): string {
  const name = basename(path);
  const meaning = fileMeanings[name];
  const text = `    ${printable(name).padEnd(24)}`;
  return meaning === undefined ? text.trimEnd() : `${text} ${styled(terminal, "dim", meaning)}`;
}
