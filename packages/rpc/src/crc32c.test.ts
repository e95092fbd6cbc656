import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "./crc32c.js";

/** Bit by bit, from the definition. */
function reference(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function bytesOf(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

test("test vectors of RFC 3720, B.4", () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => 31 - at)), 0x113fdb5c);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
});

test("long inputs, at every border of words, turns and blocks", () => {
  const all = bytesOf(70_000, 1);
  const lengths = [8_191, 8_192, 8_193, 8_200, 8_256, 8_257, 16_383, 16_384, 19_712, 19_776, 19_777, 36_160, 69_999];
  for (const length of lengths)
    assert.equal(crc32c(all.subarray(0, length)), reference(all.subarray(0, length)), `${length} bytes`);
  for (let start = 1; start < 20; start++) {
    const part = all.subarray(start, start + 20_000 + start * 7);
    assert.equal(crc32c(part), reference(part), `${part.length} bytes from ${start}`);
  }
});

test("one flipped bit anywhere in a long input changes it", () => {
  const bytes = bytesOf(40_000, 2);
  const before = crc32c(bytes);
  for (let bit = 3; bit < bytes.length * 8; bit += 7_919) {
    const at = bit >> 3;
    const whole = bytes[at] as number;
    bytes[at] = whole ^ (1 << (bit & 7));
    assert.notEqual(crc32c(bytes), before, `bit ${bit}`);
    bytes[at] = whole;
  }
});

test("goes on from the checksum of the bytes before", () => {
  const bytes = bytesOf(60_000, 3);
  for (const cut of [0, 1, 5_000, 8_192, 30_001, 51_808, 59_999, 60_000]) {
    assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes), `cut at ${cut}`);
  }
});
