import assert from "node:assert/strict";
import { test } from "node:test";
import type { JobEvent } from "@lockstep/spec";
import { progressOn } from "./progress.js";
import type { Terminal } from "./terminal.js";

const progress = (samples: number): JobEvent => ({
  type: "progress",
  epoch: 3,
  epochs: 15,
  phase: "train",
  step: 1,
  steps: 52,
  samples,
  samplesTotal: 1648,
  loss: 0.97021,
  accuracy: 0.703,
  imagesPerSecond: 12_383.4,
  secondsLeft: 130,
});

const epoch: JobEvent = {
  type: "epoch",
  epoch: 3,
  epochs: 15,
  loss: 0.9702,
  accuracy: 0.703,
  valLoss: 0.5,
  valAccuracy: 0.9,
  seconds: 3.4,
  imagesPerSecond: 500,
  sampleHash: "0".repeat(16),
  samples: 1648,
};

/** What is written, and the longest line that would stand on the screen. */
function screen(options: { live: boolean; width: number; colour?: boolean }) {
  let text = "";
  const { live, width, colour = false } = options;
  const terminal: Terminal = { live, colour, width: () => width, write: (more) => void (text += more) };
  const lines = () => text.split(/[\r\n]/).map((line) => line.replaceAll("\u001b[K", ""));
  return { terminal, text: () => text, longest: () => Math.max(...lines().map((line) => line.length)) };
}

test("a live line is redrawn in place and never as wide as the window, whatever its width", () => {
  for (let width = 20; width <= 160; width++) {
    const { terminal, text, longest } = screen({ live: true, width });
    const shown = progressOn(terminal);
    for (const samples of [0, 160, 1648]) shown.show(progress(samples));
    assert.equal(text().includes("\n"), false);
    assert.ok(longest() < width, `${longest()} columns in a window of ${width}`);
  }
});

test("a live line tells speed, loss, accuracy and time left", () => {
  const { terminal, text } = screen({ live: true, width: 100 });
  progressOn(terminal).show(progress(824));
  assert.match(
    text(),
    /Epoch {2}3\/15 {2}█+░+ {3}50% {2}loss 0\.9702 {2}acc {2}70\.3% {2}12,383 img\/s {2}2 min 10 s left/,
  );
});

test("an epoch's line stays, in full where there is room, shorter where not", () => {
  const wide = screen({ live: true, width: 120 });
  progressOn(wide.terminal).show(epoch);
  const full =
    "Epoch  3/15  loss 0.9702  accuracy 70.3%  validation loss 0.5000  accuracy 90.0%  500 images/s  3.4 s\n";
  assert.equal(wide.text(), full);
  for (const width of [40, 60, 80, 90]) {
    const narrow = screen({ live: true, width });
    progressOn(narrow.terminal).show(epoch);
    assert.ok(narrow.longest() < width);
    assert.match(narrow.text(), /^Epoch {2}3\/15 {2}loss 0\.9702 {2}acc 70\.3%.*\n$/);
  }
});

test("without a terminal there are no escapes, and progress comes every ten seconds", () => {
  const { terminal, text } = screen({ live: false, width: 80 });
  let now = 0;
  const shown = progressOn(terminal, () => now);
  for (; now <= 25_000; now += 250) shown.show(progress(160));
  shown.show(epoch);
  shown.end();
  assert.equal(text().includes("\u001b"), false);
  assert.equal(text().includes("\r"), false);
  assert.equal(text().split("\n").length - 1, 3);
});

test("colour is used where it is wanted and only there", () => {
  const coloured = screen({ live: true, width: 120, colour: true });
  progressOn(coloured.terminal).show(epoch);
  assert.ok(coloured.text().includes("\u001b[32m"));
});

test("control characters of names do not reach the terminal", () => {
  const { terminal, text } = screen({ live: false, width: 80 });
  progressOn(terminal).show({ type: "job", run: "a\u001b[2Jb", folder: "/x", workers: 1, dataShards: 1 });
  assert.equal(text().includes("\u001b"), false);
});

test("after a failure it is told which files hold what was trained", () => {
  const { terminal, text } = screen({ live: false, width: 80 });
  progressOn(terminal).show({ type: "checkpoint", position: 9, files: ["/runs/ants/model.onnx"] });
  assert.equal(text(), "What was trained is saved:\n  /runs/ants/model.onnx\n");
});
