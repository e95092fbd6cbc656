import assert from "node:assert/strict";
import { test } from "node:test";
import { philox4x32 } from "./philox.js";
import { SampleHashSum } from "./sample-hash.js";

function sumOf(uses: readonly (readonly [number, number, number])[]): bigint {
  const sum = new SampleHashSum();
  for (const [epoch, position, sampleIndex] of uses) sum.add(epoch, position, sampleIndex);
  return sum.value;
}

test("the sum is that of 64-bit hashes modulo 2^64, in any order", () => {
  const uses = Array.from({ length: 50 }, (_, i) => [1, i, (i * 7) % 50] as const);
  let expected = 0n;
  for (const use of uses) {
    const out = new Uint32Array(4);
    philox4x32([...use, 0], [0x243f6a88, 0x85a308d3], out);
    expected += BigInt(out[0] as number) + (BigInt(out[1] as number) << 32n);
  }
  assert.equal(sumOf(uses), BigInt.asUintN(64, expected));
  assert.equal(sumOf([...uses].reverse()), sumOf(uses));
  assert.equal(BigInt.asUintN(64, sumOf(uses.slice(0, 20)) + sumOf(uses.slice(20))), sumOf(uses));
});

test("a sample dropped, repeated, exchanged or of another epoch changes the sum", () => {
  const uses = Array.from({ length: 8 }, (_, i) => [0, i, i] as const);
  const variants = [
    uses,
    uses.slice(1),
    [...uses, [0, 7, 7] as const],
    uses.map(([epoch, position, index]) => [epoch, position, index < 2 ? 1 - index : index] as const),
    uses.map(([, position, index]) => [1, position, index] as const),
  ];
  assert.equal(new Set(variants.map(sumOf)).size, variants.length);
});
