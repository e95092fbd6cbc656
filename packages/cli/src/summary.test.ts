import assert from "node:assert/strict";
import { test } from "node:test";
import type { SummaryEvent } from "@lockstep/spec";
import { summaryText } from "./summary.js";
import type { Terminal } from "./terminal.js";

const terminal: Terminal = { live: false, colour: false, width: () => 80, write: () => undefined };

const summary: SummaryEvent = {
  type: "summary",
  run: "photos",
  workers: 2,
  parametersSha256: "0123456789abcdef".repeat(4),
  testAccuracy: 0.917,
  testLoss: 0.3,
  valAccuracy: 0.9105,
  steps: 1040,
  epochs: 20,
  samplesSha256: "",
  files: ["/runs/photos/model.onnx", "/runs/photos/spec.yaml"],
  seconds: 200,
  imagesPerSecond: 1234.5,
  cancelled: false,
};

test("a summary tells accuracies, time, weights and every file", () => {
  const lines = [
    "",
    "Done: 20 epochs, 1,040 steps.",
    "  accuracy  test 91.7%, validation 91.0%",
    "  time      3 min 20 s, 1,235 images/s",
    "  weights   sha256 0123456789abcdef..., the same with any number of workers",
    "  files     /runs/photos",
    "    model.onnx               the model: image in, probabilities out",
    "    spec.yaml                the spec, every field resolved",
    "",
  ];
  assert.deepEqual(summaryText(terminal, summary, "/runs/photos").split("\n"), lines);
});

test("a stopped run says so, and claims neither accuracies nor speed that it does not have", () => {
  const stopped = { ...summary, cancelled: true, steps: 1, testAccuracy: null, valAccuracy: null, imagesPerSecond: 0 };
  const lines = summaryText(terminal, stopped, "/runs/photos").split("\n");
  assert.equal(lines[1], "Stopped after 1 step; what was trained is saved.");
  assert.equal(lines[2], "  accuracy  not measured");
  assert.equal(lines[3], "  time      3 min 20 s");
  assert.equal(lines[4], "  weights   sha256 0123456789abcdef...");
});
