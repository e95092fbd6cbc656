// The thread of one lane: runs programs one after another, in the order in which they come. Results leave through the slot's
// shared memory; messages stay small.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { fillDropoutMask } from "../dropout-mask.js";
import type { FromLane, LaneStart, RunOrder, ToLane } from "./lane-messages.js";
import { type Slot, viewSlot } from "./lane-slot.js";
import { isFiniteVector, judgeLogits, sumLosses } from "./results.js";
import { type LaneArrays, loadOnnxRuntime, type OnnxRuntime, ProgramSession, runtimeVersion } from "./session.js";

const start = workerData as LaneStart;
const sharedState = new Float32Array(start.state);
const closing = new Int32Array(start.closing);
const slots = start.slots.map((memory) => viewSlot(memory, start.slotShape));
const arrays: LaneArrays = {
  state: new Float32Array(start.vectorLength),
  vector: new Float32Array(start.vectorLength),
};
const sessions = new Map<string, ProgramSession>();
let loadedVersion = 0;

function tell(message: FromLane): void {
  parentPort?.postMessage(message);
}

function main(): void {
  const runtime = tryLoad();
  if (runtime === undefined) return;
  tell({ type: "ready", version: runtimeVersion(runtime) });
  const waiting: ToLane[] = [];
  let obeying = false;
  parentPort?.on("message", (message: ToLane) => {
    waiting.push(message);
    if (obeying) return;
    obeying = true;
    void obeyAll(runtime, waiting).finally(() => (obeying = false));
  });
}

async function obeyAll(runtime: OnnxRuntime, waiting: ToLane[]): Promise<void> {
  // What came during a run is fetched at once rather than at the event loop's next turn.
  for (let message = waiting.shift(); message !== undefined; message = waiting.shift() ?? received()) {
    await obey(runtime, message);
  }
}

function received(): ToLane | undefined {
  const next = parentPort === null ? undefined : receiveMessageOnPort(parentPort);
  return next?.message as ToLane | undefined;
}

function tryLoad(): OnnxRuntime | undefined {
  try {
    return loadOnnxRuntime();
  } catch (cause) {
    tell({ type: "unavailable", message: sentenceOf(cause) });
    return undefined;
  }
}

async function obey(runtime: OnnxRuntime, message: ToLane): Promise<void> {
  if (message.type !== "close" && Atomics.load(closing, 0) !== 0) return;
  switch (message.type) {
    case "program": {
      const { program } = message;
      try {
        sessions.set(program.key, await ProgramSession.open(runtime, program, arrays));
        tell({ type: "prepared", program: program.key });
      } catch (cause) {
        tell({ type: "failed", task: undefined, program: program.key, message: sentenceOf(cause) });
      }
      return;
    }
    case "run":
      try {
        tell({ type: "done", task: message.run.task, ...(await compute(message.run)) });
      } catch (cause) {
        tell({ type: "failed", task: message.run.task, program: message.run.program, message: sentenceOf(cause) });
      }
      return;
    case "close":
      for (const session of sessions.values()) await session.release();
      parentPort?.close();
  }
}

async function compute(order: RunOrder): Promise<{ loss: number; correct: number; finite: boolean }> {
  const session = sessions.get(order.program);
  const slot = slots[order.slot];
  if (session === undefined || slot === undefined) throw new Error(`program ${order.program} was never sent here`);
  if (order.stateVersion !== loadedVersion) {
    arrays.state.set(sharedState);
    loadedVersion = order.stateVersion;
  }
  fillInputs(session, slot, order);
  await session.run();
  const { loss, correct } = readResults(session, slot, order.samples);
  if (!session.writesVector) return { loss, correct, finite: Number.isFinite(loss) };
  slot.vector.set(arrays.vector);
  return { loss, correct, finite: Number.isFinite(loss) && isFiniteVector(arrays.vector) };
}

function fillInputs(session: ProgramSession, slot: Slot, order: RunOrder): void {
  session.pixels.set(slot.pixels.subarray(0, session.pixels.length));
  session.labels.set(slot.labels.subarray(0, order.samples));
  for (const { layer, rate, mask } of session.dropout) {
    fillDropoutMask(mask, rate, { seed: start.seed, position: order.position, microBatch: order.microBatch, layer });
  }
}

function readResults(session: ProgramSession, slot: Slot, samples: number): { loss: number; correct: number } {
  const correct = judgeLogits(session.logits, slot.labels.subarray(0, samples), slot.predicted);
  return { loss: sumLosses(session.losses), correct };
}

function sentenceOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

main();
