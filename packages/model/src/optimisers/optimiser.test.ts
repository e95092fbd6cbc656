import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { OptimizerSpec } from "@lockstep/spec";
import { optimiserOf } from "./optimiser.js";

// What torch.optim does in float64: scripts/references/optimizers.py.
interface Reference {
  readonly count: number;
  readonly steps: number;
  readonly cases: readonly { name: string; optimizer: OptimizerSpec; after: Record<string, number[]> }[];
}
const reference = JSON.parse(
  readFileSync(new URL("../../testdata/optimizers.json", import.meta.url), "utf8"),
) as Reference;

// Storage is float32: 2^-24 of rounding a store, gathered over the steps.
const tolerances: Record<string, number> = { 1: 2e-7, 2: 3e-7, 5: 1e-6, 50: 5e-6 };

/** value(stream, index) of scripts/references/reference_values.py. */
function value(stream: number, index: number): number {
  let word = (index + 1 + 1000003 * stream) >>> 0;
  for (let round = 0; round < 2; round++) {
    word ^= word >>> 16;
    word = Math.imul(word, 0x45d9f3b);
  }
  return ((word ^ (word >>> 16)) >>> 8) / 2 ** 23 - 1;
}

function values(stream: number): Float32Array {
  return Float32Array.from({ length: reference.count }, (_, index) => value(stream, index));
}

for (const { name, optimizer, after } of reference.cases) {
  test(`${name} follows PyTorch for ${reference.steps} steps`, () => {
    const optimiser = optimiserOf(optimizer);
    const parameters = values(0);
    const slots = optimiser.slotNames.map(() => new Float32Array(reference.count));
    const scalars = new Float64Array(optimiser.scalarNames.length).fill(1);
    for (let step = 1; step <= reference.steps; step++) {
      // Sums over four samples, then statistics that belong to no parameter.
      const gradientSums = Float32Array.of(...values(step).map((gradient) => 4 * gradient), 1e9);
      optimiser.step({ parameters, gradientSums, gradientScale: 1 / 4, slots, scalars });
      const expected = after[step];
      if (expected === undefined) continue;
      const largest = Math.max(...expected.map(Math.abs));
      expected.forEach((wanted, index) => {
        const error = Math.abs((parameters[index] as number) - wanted) / largest;
        assert.ok(error <= (tolerances[step] as number), `step ${step}, parameter ${index}: off by ${error}`);
      });
    }
  });
}

test("the reference holds every rule: each optimiser, with and without its options", () => {
  assert.equal(reference.cases.length, 11);
  for (const { after } of reference.cases) assert.deepEqual(Object.keys(after), Object.keys(tolerances));
});
