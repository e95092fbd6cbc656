/**
 * proto/ -> packages/rpc/src/gen, with buf and ts-proto, offline.
 *
 *   node scripts/dist/generate-proto.js            write packages/rpc/src/gen
 *   node scripts/dist/generate-proto.js --check    generate into a temporary folder; exit code 1 when it differs
 *
 * How 64-bit fields are typed is decided by their kind on the wire, once for the whole contract: uint64 and int64 are
 * counts, positions and byte sizes, which stay below 2^53, and become `number` (a larger one on the wire is an error);
 * fixed64 and sfixed64 are hashes and exact sums over the whole range, and become `bigint`. So do repeated fields of
 * 64 bits (ts-proto 2.18 generates code that does not compile for repeated fields with a jstype).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const protoFolder = join(root, "proto");
const generatedFolder = join(root, "packages", "rpc", "src", "gen");

const require = createRequire(import.meta.url);
const bufBinary = join(dirname(require.resolve("@bufbuild/buf/package.json")), "bin", "buf");
const tsProtoPlugin = join(dirname(require.resolve("ts-proto/package.json")), "protoc-gen-ts_proto");

const tsProtoOptions = [
  "esModuleInterop=true",
  "importSuffix=.js",
  "outputServices=grpc-js",
  "oneof=unions-value", // { $case: "hello", value: Hello }: a tagged union
  "forceLong=bigint",
  "useJsTypeOverride=true",
  "enumsAsLiterals=true", // const objects: no `enum`, which erasableSyntaxOnly forbids
  "removeEnumPrefix=true",
  "unrecognizedEnum=false",
  "outputJsonMethods=false",
  "useExactTypes=false",
  "unknownFields=false",
  "annotateFilesWithVersion=false",
];

interface FieldDescriptor {
  type?: string;
  label?: string;
  options?: { jstype?: string };
}
interface MessageDescriptor {
  field?: FieldDescriptor[];
  nestedType?: MessageDescriptor[];
}
interface Image {
  file: { messageType?: MessageDescriptor[] }[];
}

/** Marks each single uint64 and int64 as a JavaScript number (see the head of this file). */
function markNumbers(messages: readonly MessageDescriptor[]): void {
  for (const message of messages) {
    for (const field of message.field ?? []) {
      const whole = field.type === "TYPE_UINT64" || field.type === "TYPE_INT64";
      if (whole && field.label !== "LABEL_REPEATED") {
        field.options = { ...field.options, jstype: "JS_NUMBER" };
      }
    }
    markNumbers(message.nestedType ?? []);
  }
}

async function generateInto(folder: string, scratch: string): Promise<void> {
  const buf = (...parameters: string[]) =>
    execFileSync(process.execPath, [bufBinary, ...parameters], { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  const image = JSON.parse(buf("build", protoFolder, "--output", "-#format=json")) as Image;
  for (const file of image.file) markNumbers(file.messageType ?? []);
  const imagePath = join(scratch, "image.json");
  writeFileSync(imagePath, JSON.stringify(image));
  const template = {
    version: "v2",
    plugins: [{ local: [process.execPath, tsProtoPlugin], out: folder, opt: tsProtoOptions }],
  };
  mkdirSync(folder, { recursive: true });
  buf("generate", imagePath, "--template", JSON.stringify(template));
  const style = (await resolveConfig(join(root, "package.json"))) ?? {};
  for (const name of typescriptFiles(folder)) {
    const path = join(folder, name);
    writeFileSync(path, await format(readFileSync(path, "utf8"), { ...style, parser: "typescript" }));
  }
}

function typescriptFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort();
}

/** Names of files that differ between the committed folder and a fresh one. */
function differences(committed: string, fresh: string): string[] {
  const names = new Set([...typescriptFiles(committed), ...typescriptFiles(fresh)]);
  const text = (folder: string, name: string): string | undefined =>
    typescriptFiles(folder).includes(name) ? readFileSync(join(folder, name), "utf8") : undefined;
  return [...names].filter((name) => text(committed, name) !== text(fresh, name));
}

const scratch = mkdtempSync(join(tmpdir(), "lockstep-proto-"));
try {
  const fresh = join(scratch, "gen");
  await generateInto(fresh, scratch);
  if (process.argv.includes("--check")) {
    const differing = differences(generatedFolder, fresh);
    if (differing.length > 0) {
      const names = differing.map((name) => join(relative(root, generatedFolder), name)).join(", ");
      process.stderr.write(`Generated code differs from proto/: ${names}. Run: npm run generate\n`);
      process.exitCode = 1;
    }
  } else {
    rmSync(generatedFolder, { recursive: true, force: true });
    mkdirSync(generatedFolder, { recursive: true });
    for (const name of typescriptFiles(fresh)) {
      mkdirSync(dirname(join(generatedFolder, name)), { recursive: true });
      writeFileSync(join(generatedFolder, name), readFileSync(join(fresh, name)));
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
