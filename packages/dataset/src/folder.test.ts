import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { compareCodePoints } from "./folder.js";
import { openSource, type Source } from "./source.js";

/** A folder with these files (content does not matter to the index) and links, removed afterwards. */
async function withFolder(
  files: readonly string[],
  use: (root: string) => Promise<void>,
  links: Readonly<Record<string, string>> = {},
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-folder-"));
  try {
    for (const file of files) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), file);
    }
    for (const [link, target] of Object.entries(links)) symlinkSync(target, join(root, link));
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function samples(source: Source): string[] {
  return [...source.labels].map((label, k) => {
    const file = source.files[source.sampleFile[k] as number];
    return `${source.classes[label]}: ${file?.path}`;
  });
}

function refusal(where: RegExp, found: RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof InputError);
    assert.match(thrown.where, where);
    assert.match(thrown.found, found);
    return true;
  };
}

test("classes are the folders, samples the images below them at any depth, in ImageFolder's order", async () => {
  const files = [
    "b/2.png",
    "b/10.PNG",
    "b/a-z/x.jpeg",
    "b/a/y.jpg",
    "b/a/c/w.gif",
    "B/z.webp",
    "a/1.tiff",
    "a/note.txt",
    "ignored.png",
  ];
  await withFolder(files, async (root) => {
    const source = await openSource(root);
    assert.equal(source.format, "folder");
    assert.deepEqual(source.classes, ["B", "a", "b"]);
    // What Python gives: for folder, _, names in sorted(os.walk(top, followlinks=True)): for name in sorted(names)
    assert.deepEqual(samples(source), [
      "B: B/z.webp",
      "a: a/1.tiff",
      "b: b/10.PNG",
      "b: b/2.png",
      "b: b/a/y.jpg",
      "b: b/a-z/x.jpeg",
      "b: b/a/c/w.gif",
    ]);
    assert.equal(source.ready, undefined);
  });
});

test("code points order names, not UTF-16 units", () => {
  const names = ["z", "\u{1F600}", "\uFF5E", "a", "\u{1F600}b", "A"];
  assert.deepEqual(names.sort(compareCodePoints), ["A", "a", "z", "\uFF5E", "\u{1F600}", "\u{1F600}b"]);
});

test("hidden files and folders count as torchvision counts them", async () => {
  await withFolder([".hidden/.x.png", "a/.jpg"], async (root) => {
    assert.deepEqual(samples(await openSource(root)), [".hidden: .hidden/.x.png", "a: a/.jpg"]);
  });
  await withFolder(["a/1.png", "b/1.png", ".cache/notes.txt"], async (root) => {
    await assert.rejects(openSource(root), refusal(/\.cache$/, /without an image/));
  });
});

test("links to folders and files are followed; a circle and a link to nowhere are refused", async () => {
  const files = ["a/1.png", "b/1.png", "elsewhere/c/2.png"];
  await withFolder(files, async (root) => {
    const links = { "a/more": "../b", "a/two.png": "../b/1.png" };
    for (const [link, target] of Object.entries(links)) symlinkSync(target, join(root, link));
    const paths = (await openSource(root)).files.map((file) => file.path);
    assert.deepEqual(
      paths.filter((path) => path.startsWith("a/")),
      ["a/1.png", "a/two.png", "a/more/1.png"],
    );
  });
  await withFolder(
    files,
    async (root) => {
      await assert.rejects(openSource(root), refusal(/a\/back/, /leads back/));
    },
    { "a/back": "../a" },
  );
  await withFolder(
    files,
    async (root) => {
      await assert.rejects(openSource(root), refusal(/gone\.png$/, /leads nowhere/));
    },
    { "a/gone.png": "nowhere" },
  );
  for (const link of ["loop", "a/loop", "a/loop.png"]) {
    await withFolder(
      files,
      async (root) => {
        await assert.rejects(openSource(root), refusal(/loop(\.png)?$/, /ELOOP/));
        await assert.rejects(openSource(join(root, link)), refusal(/loop(\.png)?$/, /ELOOP/));
      },
      { [link]: basename(link) },
    );
  }
});

test("train/, val/ and test/ are parts, validation/ and valid/ mean the same, and either may be missing", async () => {
  for (const name of ["val", "validation", "valid"]) {
    await withFolder(["train/a/1.png", "train/b/1.png", `${name}/b/2.png`, "test/a/3.png"], async (root) => {
      const source = await openSource(root);
      assert.deepEqual(source.classes, ["a", "b"]);
      assert.deepEqual([...(source.ready?.part ?? [])], [0, 0, 1, 2]);
      assert.deepEqual([...source.labels], [0, 1, 1, 0]);
      assert.deepEqual(source.ready?.present, { validation: true, test: true });
    });
  }
  await withFolder(["train/a/1.png", "train/b/1.png"], async (root) => {
    assert.deepEqual((await openSource(root)).ready?.present, { validation: false, test: false });
  });
});

test("a class may be called train where other classes stand beside it", async () => {
  await withFolder(["train/1.png", "plane/1.png"], async (root) => {
    const source = await openSource(root);
    assert.deepEqual(source.classes, ["plane", "train"]);
    assert.equal(source.ready, undefined);
  });
});

test("a stray folder beside parts is refused: the parts must not become classes", async () => {
  const divided = ["train/a/1.png", "train/b/1.png"];
  for (const name of ["val", "validation", "valid", "test"]) {
    await withFolder([...divided, `${name}/a/2.png`, "extra/3.png"], async (root) => {
      await assert.rejects(
        openSource(root),
        refusal(/extra$/, new RegExp(`beside train/ and ${name}/ that is no part`)),
      );
    });
  }
  // A class may have folders inside, and its neighbour may be called test.
  await withFolder(["train/old/1.png", "plane/1.png", "test/1.png"], async (root) => {
    assert.deepEqual((await openSource(root)).classes, ["plane", "test", "train"]);
  });
});

test("what cannot be a dataset is refused by name", async () => {
  await withFolder(["train/a/1.png", "train/b/1.png", "val/c/1.png"], async (root) => {
    await assert.rejects(openSource(root), refusal(/val\/c$/, /class that train\/ does not have/));
  });
  await withFolder(["train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"], async (root) => {
    await assert.rejects(openSource(root), refusal(/./, /both val\/ and valid\//));
  });
  await withFolder(["a/1.png"], async (root) => {
    await assert.rejects(openSource(root), refusal(/./, /one class folder only/));
  });
  await withFolder(["a/1.png", "b/1.bmp"], async (root) => {
    await assert.rejects(openSource(root), refusal(/1\.bmp$/, /not decoded/));
  });
  await withFolder(["1.png"], async (root) => {
    await assert.rejects(openSource(root), refusal(/./, /no folder/));
    await assert.rejects(openSource(join(root, "1.png")), refusal(/1\.png$/, /no IDX file/));
    await assert.rejects(openSource(join(root, "missing")), refusal(/missing$/, /nothing at this path/));
  });
});
