import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chainDigest, hash64 } from "./hash64.js";

const mask = (1n << 64n) - 1n;

/** Bits that differ. */
function distance(a: bigint, b: bigint): number {
  return (a ^ b).toString(2).replaceAll("0", "").length;
}

describe("hash64", () => {
  test("stays in 64 bits and keeps its values: they are compared between versions of Lockstep", () => {
    assert.equal(hash64([]), 0xcbf29ce484222325n); // FNV's offset basis
    // Values of the same formula in Python's integers.
    assert.equal(hash64(["lockstep", 1, 2n]), 0x903000222ad9bb6dn);
    assert.equal(chainDigest(1n, 2, [3, 4]), 0xe920a4e3305fba1bn);
    for (const value of [hash64([0]), hash64(["a", 1, 2n]), hash64([-1, mask])])
      assert.ok(value >= 0n && value <= mask);
    assert.equal(hash64(["lockstep", 1, 2n]), hash64(["lockstep", 1n, 2]));
  });

  test("depends on order, on where a text ends, and on zeros", () => {
    const all = [[1, 2], [2, 1], ["ab", ""], ["a", "b"], ["", "ab"], [0], [0, 0], [""], ["", ""]].map((words) =>
      hash64(words),
    );
    // An empty text is its length alone: where types may vary, a number stands before it.
    assert.equal(new Set(all).size, all.length - 2);
    assert.equal(hash64([0]), hash64([""]));
  });

  test("every bit of a word reaches half of the result's bits", () => {
    let total = 0;
    for (let bit = 0n; bit < 64n; bit++) total += distance(hash64([12345n]), hash64([12345n ^ (1n << bit)]));
    const mean = total / 64;
    assert.ok(mean > 28 && mean < 36, `${mean} of 64 bits change`);
  });

  test("a hundred thousand positions do not collide", () => {
    const seen = new Set<bigint>();
    let chain = 0n;
    for (let position = 1; position <= 100_000; position++) {
      chain = chainDigest(chain, position, []);
      seen.add(chain);
    }
    assert.equal(seen.size, 100_000);
  });
});

describe("chain digest", () => {
  test("depends on what came before, the position and each checksum", () => {
    const base = chainDigest(1n, 2, [3, 4]);
    const others = [chainDigest(0n, 2, [3, 4]), chainDigest(1n, 1, [3, 4]), chainDigest(1n, 2, [4, 3])];
    others.push(chainDigest(1n, 2, [3]), chainDigest(1n, 2, [3, 4, 0]));
    assert.equal(new Set([base, ...others]).size, 6);
  });
});
