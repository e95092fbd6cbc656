import assert from "node:assert/strict";
import { test } from "node:test";
import { suggestion } from "./suggestion.js";

const known = ["learningRate", "momentum", "nesterov", "weightDecay"];
const expected: readonly [found: string, meant: string | undefined][] = [
  ["learningrate", "learningRate"],
  ["learning_rate", "learningRate"],
  ["learnignRate", "learningRate"],
  ["momentun", "momentum"],
  ["nestrov", "nesterov"],
  ["weight-decay", "weightDecay"],
  ["colour", undefined],
  ["x", undefined],
];

for (const [found, meant] of expected) {
  test(`"${found}" means ${meant ?? "nothing known"}`, () => assert.equal(suggestion(found, known), meant));
}
