/**
 * The README's first command: draws the demo dataset, then trains on it exactly as `lockstep train` does for any folder.
 * Further arguments go to `lockstep train` and come after these, so that they win: npm start -- --workers 1
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { drawShapes } from "./shapes.js";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const cli = fileURLToPath(new URL("../../packages/cli/dist/main.js", import.meta.url));

const flags =
  "--model small-cnn --image-size 32 --epochs 8 --batch-size 64 --optimizer adam --lr 4e-3 " +
  "--workers 2 --data-shards 2 --seed 1 --name shapes";

function progress(done: number, total: number): void {
  if (!process.stderr.isTTY || (done % 100 !== 0 && done !== total)) return;
  process.stderr.write(`\rDrawing the demo dataset: ${done} of ${total} images${done === total ? "\n" : ""}`);
}

const began = performance.now();
const result = await drawShapes({
  folder: `${repository}/examples/shapes`,
  seed: 1,
  imagesPerClass: 320,
  onProgress: progress,
});
const seconds = ((performance.now() - began) / 1000).toFixed(1);
if (result === "drawn") process.stderr.write(`Drew the demo dataset into examples/shapes in ${seconds} s.\n`);
process.stderr.write(`$ npx lockstep train examples/shapes ${flags}\n\n`);

const training = spawn(
  process.execPath,
  [cli, "train", "examples/shapes", ...flags.split(" "), ...process.argv.slice(2)],
  {
    cwd: repository,
    stdio: "inherit",
  },
);
process.on("SIGINT", () => undefined); // the terminal sends it to the training too, which ends cleanly and decides the exit code
process.on("SIGTERM", () => training.kill("SIGTERM"));
training.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
