import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { cifarImages } from "./cifar.js";
import { readPickle } from "./pickle.js";
import { openSource } from "./source.js";

type Form = "python2" | "python3";
type Batches = Readonly<Record<"ten" | "tenMeta" | "hundred" | "hundredMeta", string>>;

/** Written by Python: scripts/references/cifar_batches.py. */
const reference = JSON.parse(
  readFileSync(new URL("../testdata/cifar-batches.json", import.meta.url), "utf8"),
) as Readonly<Record<Form, Batches>> & {
  readonly dataSha256: string;
  readonly names: readonly string[];
  readonly ten: { readonly labels: readonly number[] };
  readonly hundred: { readonly labels: readonly number[] };
  readonly refused: Readonly<Record<string, string>>;
};

const bytes = (base64: string) => Buffer.from(base64, "base64");

async function withFiles(
  files: Readonly<Record<string, Uint8Array>>,
  use: (root: string) => Promise<void>,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-cifar-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(root, name, ".."), { recursive: true });
      writeFileSync(join(root, name), content);
    }
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

for (const form of ["python2", "python3"] as const) {
  test(`CIFAR-10's Python batches as ${form} writes them: classes, labels, parts and pixels are what Python reads`, async () => {
    const { ten, tenMeta } = reference[form];
    const folder = "cifar-10-batches-py";
    const files = {
      [`${folder}/data_batch_2`]: bytes(ten),
      [`${folder}/data_batch_10`]: bytes(ten),
      [`${folder}/test_batch`]: bytes(ten),
      [`${folder}/batches.meta`]: bytes(tenMeta),
    };
    await withFiles(files, async (root) => {
      const source = await openSource(root);
      assert.equal(source.format, "cifar-python");
      assert.deepEqual(source.classes, reference.names);
      assert.deepEqual([...source.labels], [reference.ten.labels, reference.ten.labels, reference.ten.labels].flat());
      assert.deepEqual([...(source.ready?.part ?? [])], [0, 0, 0, 0, 0, 0, 2, 2, 2]);
      assert.deepEqual(
        source.files.map((file) => file.path),
        ["data_batch_2", "data_batch_10", "test_batch", "batches.meta"],
      );
    });
    const images = cifarImages(bytes(ten), "cifar-python", "data_batch_1");
    assert.equal(images.count, 3);
    assert.equal(createHash("sha256").update(images.bytes).digest("hex"), reference.dataSha256);
  });

  test(`CIFAR-100's Python batches as ${form} writes them: fine labels`, async () => {
    const { hundred, hundredMeta } = reference[form];
    await withFiles({ train: bytes(hundred), meta: bytes(hundredMeta) }, async (root) => {
      const source = await openSource(root);
      assert.deepEqual(source.classes, reference.names);
      assert.deepEqual([...source.labels], reference.hundred.labels);
      assert.equal(source.ready, undefined);
    });
  });
}

for (const [name, base64] of Object.entries(reference.refused)) {
  test(`a pickle with another content is refused: ${name}`, () => {
    assert.throws(() => readPickle(bytes(base64)), /the pickle/);
    assert.throws(() => cifarImages(bytes(base64), "cifar-python", "data_batch_1"), InputError);
  });
}

test("a pickle that shares one list thousands of times is refused before it fills memory", () => {
  // l1 = [0] * 1000 by memo, l2 = [l1] * 1000, l3 = [l2] * 1000: a thousand million items from 6 kB.
  const opcodes = [0x80, 2, 0x5d, 0x71, 0, 0x28, ...Array.from({ length: 1000 }, () => [0x4b, 0]).flat(), 0x65];
  for (const level of [1, 2]) {
    opcodes.push(0x5d, 0x71, level, 0x28);
    for (let k = 0; k < 1000; k++) opcodes.push(0x68, level - 1);
    opcodes.push(0x65);
  }
  opcodes.push(0x2e);
  assert.throws(() => readPickle(Uint8Array.from(opcodes)), /larger/);
});

function records(labelBytes: readonly number[][], fill: number): Buffer {
  return Buffer.concat(labelBytes.map((label, k) => Buffer.concat([Buffer.from(label), Buffer.alloc(3072, fill + k)])));
}

test("binary CIFAR-10 and CIFAR-100: the last label byte is the class, pixels follow", async () => {
  const ten = { "data_batch_1.bin": records([[1], [0]], 10), "test_batch.bin": records([[2]], 20) };
  await withFiles({ ...ten, "batches.meta.txt": Buffer.from("airplane\nautomobile\nbird\n\n") }, async (root) => {
    const source = await openSource(root);
    assert.equal(source.format, "cifar-binary");
    assert.deepEqual(source.classes, ["airplane", "automobile", "bird"]);
    assert.deepEqual([...source.labels], [1, 0, 2]);
  });
  const hundred = records(
    [
      [9, 1],
      [8, 0],
    ],
    30,
  );
  await withFiles(
    { "cifar-100-binary/train.bin": hundred, "cifar-100-binary/fine_label_names.txt": Buffer.from("x\ny\n") },
    async (root) => {
      assert.deepEqual([...(await openSource(root)).labels], [1, 0]);
    },
  );
  const images = cifarImages(hundred, "cifar-binary", "/somewhere/train.bin");
  assert.equal(images.count, 2);
  assert.deepEqual([images.bytes[images.first], images.bytes[images.first + images.stride]], [30, 31]);
});

test("a binary batch with a label out of range or of a broken length is refused", async () => {
  const names = { "batches.meta.txt": Buffer.from("a\nb\n") };
  await withFiles({ ...names, "data_batch_1.bin": records([[2]], 0) }, (root) =>
    assert.rejects(openSource(root), /labels from 0 to 1/),
  );
  await withFiles({ ...names, "data_batch_1.bin": Buffer.alloc(3072) }, (root) =>
    assert.rejects(openSource(root), /3073/),
  );
});
