/** The records of applied positions, kept until the coordinator says that they stand on durable storage (R16). */
import type { PositionRecord } from "@lockstep/rpc";

/** Of one message: the rest follows with the next heartbeats. */
const recordsMax = 500;
/** Confusion matrices have up to a million cells, most of them a byte on the wire. A quarter of the largest message. */
const bytesMax = 4 * 2 ** 20;

export class Ledger {
  /** By increasing position. */
  readonly #records: PositionRecord[] = [];
  /** Position of the last record handed out on the present stream. */
  #sentTo = 0;

  add(record: PositionRecord): void {
    this.#records.push(record);
  }

  /** What a new stream begins with: the oldest that are not acknowledged, as many as a message takes. */
  unacknowledged(): PositionRecord[] {
    this.#sentTo = 0;
    return this.unsent();
  }

  /** Records that the present stream has not carried yet, oldest first: as many as a message takes, one at least. */
  unsent(): PositionRecord[] {
    const first = this.#records.findIndex((record) => record.position > this.#sentTo);
    if (first === -1) return [];
    let end = first;
    for (let bytes = 0; end < this.#records.length && end - first < recordsMax; end++) {
      bytes += bytesOf(this.#records[end] as PositionRecord);
      if (bytes > bytesMax && end > first) break;
    }
    const records = this.#records.slice(first, end);
    this.#sentTo = records.at(-1)?.position ?? this.#sentTo;
    return records;
  }

  /** Drops records up to and including `position`. */
  acknowledge(position: number): void {
    const kept = this.#records.findIndex((record) => record.position > position);
    this.#records.splice(0, kept === -1 ? this.#records.length : kept);
  }
}

/** On the wire, at most: a cell is one byte, and two more for each of the few that hold a sample. */
function bytesOf(record: PositionRecord): number {
  return 128 + record.confusion.length + 2 * Math.min(record.samples, record.confusion.length);
}
