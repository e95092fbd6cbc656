/** The records of applied positions, kept until the coordinator says that they stand on durable storage (R16). */
import type { PositionRecord } from "@lockstep/rpc";

export class Ledger {
  /** By increasing position. */
  readonly #records: PositionRecord[] = [];
  /** Position of the last record handed out on the present stream. */
  #sentTo = 0;

  add(record: PositionRecord): void {
    this.#records.push(record);
  }

  /** Everything not acknowledged: what a new stream begins with. */
  unacknowledged(): PositionRecord[] {
    this.#sentTo = this.#records.at(-1)?.position ?? 0;
    return [...this.#records];
  }

  /** Records that the present stream has not carried yet, oldest first, at most `most`. */
  unsent(most: number): PositionRecord[] {
    const first = this.#records.findIndex((record) => record.position > this.#sentTo);
    if (first === -1) return [];
    const records = this.#records.slice(first, first + most);
    this.#sentTo = records.at(-1)?.position ?? this.#sentTo;
    return records;
  }

  /** Drops records up to and including `position`. */
  acknowledge(position: number): void {
    const kept = this.#records.findIndex((record) => record.position > position);
    this.#records.splice(0, kept === -1 ? this.#records.length : kept);
  }
}
