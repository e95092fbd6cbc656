import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { ChangedFileError, checkFiles } from "./file-check.js";
import { buildManifest, type DatasetManifest } from "./manifest.js";
import { decodeManifest, encodeManifest } from "./manifest-bytes.js";
import { openSource } from "./source.js";

const split = { train: 0.5, validation: 0.25, test: 0.25, seed: 1 };

/** Bytes that begin as a PNG does: the manifest looks no further. */
const image = (content: string) => Buffer.from(`\x89PNG\r\n\x1a\n${content}`, "latin1");

async function withDataset(use: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-manifest-"));
  try {
    for (const name of ["ä", "b"]) {
      mkdirSync(join(root, name));
      for (let k = 0; k < 8; k++) writeFileSync(join(root, name, `${k}.png`), image(`${name}${k}`));
    }
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function manifestOf(root: string, changed: Partial<typeof split> = {}): Promise<DatasetManifest> {
  return buildManifest(await openSource(root), { split: { ...split, ...changed } });
}

test("the manifest comes back from its bytes as it was", async () => {
  await withDataset(async (root) => {
    const manifest = await manifestOf(root);
    assert.deepEqual(decodeManifest(encodeManifest(manifest)), manifest);
  });
});

test("the digest follows contents and splits, not place, names or times", async () => {
  await withDataset(async (root) => {
    const { digest } = await manifestOf(root);
    utimesSync(join(root, "b", "1.png"), 5, 5);
    renameSync(join(root, "b", "1.png"), join(root, "b", "1a.png"));
    assert.equal((await manifestOf(root)).digest, digest);
    assert.notEqual((await manifestOf(root, { seed: 2 })).digest, digest);
    writeFileSync(join(root, "b", "1a.png"), image("other"));
    assert.notEqual((await manifestOf(root)).digest, digest);
  });
});

test("damaged bytes of a manifest are refused", async () => {
  await withDataset(async (root) => {
    const bytes = encodeManifest(await manifestOf(root));
    assert.throws(() => decodeManifest(bytes.subarray(0, bytes.length - 1)), InputError);
    assert.throws(() => decodeManifest(bytes.subarray(0, 40)), InputError);
    assert.throws(() => decodeManifest(new Uint8Array(0)), InputError);
    const labelAt = bytes.length - 16 * ("b/1.png".length + 1) - 16 * 32 - 4 * 16;
    for (const at of [0, 9, labelAt, bytes.length - 300]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 0x40;
      assert.throws(() => decodeManifest(damaged), InputError, `byte ${at}`);
    }
  });
});

test("progress counts every file and byte once", async () => {
  await withDataset(async (root) => {
    const source = await openSource(root);
    const seen: number[] = [];
    let last = { files: 0, bytes: 0 };
    const onProgress = (done: typeof last, total: typeof last) => {
      seen.push(done.files);
      last = done;
      assert.equal(total.files, 16);
    };
    await buildManifest(source, { split, onProgress });
    assert.deepEqual(
      seen,
      Array.from({ length: 16 }, (_, k) => k + 1),
    );
    assert.equal(
      last.bytes,
      source.files.reduce((sum, file) => sum + file.bytes, 0),
    );
  });
});

test("an empty file and one that is no image are refused by name, before training begins", async () => {
  for (const content of ["", "<html>not found</html>"]) {
    await withDataset(async (root) => {
      writeFileSync(join(root, "b", "3.png"), content);
      await assert.rejects(
        manifestOf(root),
        (thrown) => thrown instanceof InputError && thrown.where.endsWith("b/3.png"),
      );
    });
  }
});

test("a class that is too small is refused before any file is read", async () => {
  await withDataset(async (root) => {
    mkdirSync(join(root, "c"));
    writeFileSync(join(root, "c", "1.png"), "no image");
    await assert.rejects(manifestOf(root), /class "c".*1 image/);
  });
});

test("a check of files passes over a new time with the same content, and names a file that changed or is gone", async () => {
  await withDataset(async (root) => {
    const manifest = await manifestOf(root);
    const all = [...manifest.files.paths.keys()];
    const [first, second] = manifest.files.paths.map((path) => join(root, path)) as [string, string];
    utimesSync(first, 5, 5);
    await checkFiles(manifest, all);
    const changes: [string, () => void, RegExp][] = [
      ["same size", () => writeFileSync(first, image("b9")), /changed/],
      ["another size", () => writeFileSync(first, image("longer than before")), /changed/],
    ];
    for (const [name, change, sentence] of changes) {
      change();
      await assert.rejects(
        checkFiles(manifest, all),
        (thrown) => thrown instanceof ChangedFileError && thrown.path === first && sentence.test(thrown.message),
        name,
      );
    }
    writeFileSync(first, image("b0"));
    await checkFiles(manifest, all);
    rmSync(second);
    await assert.rejects(
      checkFiles(manifest, all),
      (thrown) => thrown instanceof ChangedFileError && thrown.path === second && /is gone/.test(thrown.message),
    );
  });
});
