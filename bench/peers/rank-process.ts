/**
 * One rank of a benchmark as a process: prints {"listening": address}, reads {"addresses": [...]}, then answers each
 * {"bytes", "repeats"} with {"seconds"}: the time that `repeats` all-reduces of a float32 vector of `bytes` took here.
 */
import { createInterface } from "node:readline";

export interface Rank {
  readonly address: string;
  connect(addresses: readonly string[]): Promise<void>;
  /** Reduces `vector` (float32) over all ranks; the sum, and the seconds that it took without filling buffers. */
  allReduce(vector: Float32Array): Promise<{ sums: Float32Array; seconds: number }>;
}

export async function runRank(start: (rank: number, ranks: number) => Promise<Rank>): Promise<void> {
  const [rank = 0, ranks = 1] = process.argv.slice(2).map(Number);
  const own = await start(rank, ranks);
  const write = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
  write({ listening: own.address });
  for await (const line of createInterface(process.stdin)) {
    const message = JSON.parse(line) as { addresses?: string[]; bytes?: number; repeats?: number };
    if (message.addresses !== undefined) {
      await own.connect(message.addresses);
      write({ connected: true });
      continue;
    }
    // Two in turn: a slow peer may still be pulling the last one while the next is filled.
    const vectors = [0, 1].map(() => new Float32Array((message.bytes ?? 0) / 4));
    let seconds = 0;
    for (let repeat = 0; repeat < (message.repeats ?? 1); repeat++) {
      const vector = vectors[repeat % 2] as Float32Array;
      for (let at = 0; at < vector.length; at++) vector[at] = rank + (at % 7);
      const reduced = await own.allReduce(vector);
      seconds += reduced.seconds;
      checkSum(reduced.sums, ranks);
    }
    write({ seconds });
  }
  process.exit(0);
}

/** Every rank gave rank + at % 7. */
function checkSum(sums: Float32Array, ranks: number): void {
  for (let at = 0; at < sums.length; at += 997) {
    const expected = (ranks * (ranks - 1)) / 2 + ranks * (at % 7);
    if (sums[at] !== expected) throw new Error(`value ${at} is ${sums[at]}, not ${expected}`);
  }
}
