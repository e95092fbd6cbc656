// The thread of one lane: runs programs one after another, in the order in which they come. Results leave through the slot's
// shared memory; messages stay small.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { fillDropoutMask } from "../dropout-mask.js";
import { LaneControl } from "./lane-control.js";
import type { FromLane, LaneStart, RunOrder, TaskResult, ToLane } from "./lane-messages.js";
import { type Slot, viewSlot } from "./lane-slot.js";
import { isFiniteVector, judgeLogits, sumLosses } from "./results.js";
import { type LaneArrays, loadOnnxRuntime, type OnnxRuntime, ProgramSession, runtimeVersion } from "./session.js";

const start = workerData as LaneStart;
const sharedState = new Float32Array(start.state);
const control = new LaneControl(start.control);
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

async function main(): Promise<void> {
  const runtime = await control.native(tryLoad);
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
  switch (message.type) {
    case "program": {
      const { program } = message;
      try {
        const session = await control.native(() => ProgramSession.open(runtime, program, arrays));
        if (session === undefined) return;
        sessions.set(program.key, session);
        tell({ type: "prepared", program: program.key });
      } catch (cause) {
        tell({ type: "failed", task: undefined, program: program.key, message: sentenceOf(cause) });
      }
      return;
    }
    case "run":
      try {
        const result = await compute(message.run);
        if (result !== undefined) tell({ type: "done", task: message.run.task, ...result });
      } catch (cause) {
        tell({ type: "failed", task: message.run.task, program: message.run.program, message: sentenceOf(cause) });
      }
      return;
    case "close":
      parentPort?.close();
  }
}

/** Undefined where the lane is to stop: nobody waits for the result. */
async function compute(order: RunOrder): Promise<TaskResult | undefined> {
  const session = sessions.get(order.program);
  const slot = slots[order.slot];
  if (session === undefined || slot === undefined) throw new Error(`program ${order.program} was never sent here`);
  if (order.stateVersion !== loadedVersion) {
    arrays.state.set(sharedState);
    loadedVersion = order.stateVersion;
  }
  fillInputs(session, slot, order);
  const done = await control.native(async () => {
    await session.run();
    return true;
  });
  if (done !== true) return undefined;
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

void main();
