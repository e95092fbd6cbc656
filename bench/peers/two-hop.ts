/**
 * The same two-hop exchange as @lockstep/collective over any pair of byte streams, as bare as it can be: no messages, no
 * checks, no tree; bytes in an agreed order, placed where they belong, summed piece by piece, published at once. What
 * the transport could give at best.
 */
const pieceBytes = 1 << 20;

export interface PeerStream {
  /** Sends bytes that stay unchanged until the exchange is over; resolves when more may be sent. */
  write(bytes: Uint8Array): Promise<void> | void;
}

interface Segment {
  readonly first: number;
  readonly end: number;
}

export class TwoHop {
  readonly #rank: number;
  readonly #ranks: number;
  /** Bytes received in this exchange, by peer. */
  readonly #received: number[];
  /** Bytes of the next exchange that came before it began here, by peer. */
  #early: Uint8Array[][];
  /** By peer: its values of our segment. */
  #partials: Uint8Array[] = [];
  #vector: Float32Array | undefined;
  #summedPieces = 0;
  #waiting: (() => void)[] = [];

  constructor(rank: number, ranks: number) {
    this.#rank = rank;
    this.#ranks = ranks;
    this.#received = new Array<number>(ranks).fill(0);
    this.#early = this.#received.map(() => []);
  }

  /** Takes bytes of a peer: first its values of our segment, then its reduced segment. */
  take(from: number, bytes: Uint8Array): void {
    const vector = this.#vector;
    const at = this.#received[from] as number;
    const partial = this.#partials[from];
    const theirs = this.#segment(from, vector?.length ?? 0);
    const total = (partial?.length ?? 0) + (theirs.end - theirs.first) * 4;
    if (vector === undefined || partial === undefined || at === total) {
      this.#early[from]?.push(bytes.slice());
      return;
    }
    const inPartial = at < partial.length;
    const target = inPartial ? partial : bytesOf(vector, theirs.first, theirs.end);
    const offset = inPartial ? at : at - partial.length;
    const fits = Math.min(bytes.length, target.length - offset);
    target.set(fits === bytes.length ? bytes : bytes.subarray(0, fits), offset);
    this.#received[from] = at + fits;
    if (fits < bytes.length) this.take(from, bytes.subarray(fits));
    this.#sumWhatIsThere(vector);
  }

  async allReduce(vector: Float32Array, streams: readonly (PeerStream | undefined)[]): Promise<void> {
    const own = this.#segment(this.#rank, vector.length);
    const ownBytes = (own.end - own.first) * 4;
    if (this.#partials[0]?.length !== ownBytes) this.#partials = streams.map(() => new Uint8Array(ownBytes));
    this.#received.fill(0);
    this.#summedPieces = 0;
    this.#vector = vector;
    const early = this.#early;
    this.#early = early.map(() => []);
    for (const [from, pieces] of early.entries()) for (const piece of pieces) this.take(from, piece);
    const peers = streams.flatMap((stream, peer) => (stream === undefined ? [] : [{ stream, peer }]));
    await Promise.all(peers.map(({ stream, peer }) => this.#sendTo(peer, stream, vector, own)));
    const done = () =>
      peers.every(({ peer }) => {
        const theirs = this.#segment(peer, vector.length);
        return this.#received[peer] === ownBytes + (theirs.end - theirs.first) * 4;
      });
    await this.#until(done);
    this.#vector = undefined;
  }

  async #sendTo(peer: number, stream: PeerStream, vector: Float32Array, own: Segment): Promise<void> {
    const theirs = this.#segment(peer, vector.length);
    for (const piece of piecesOf(theirs)) await stream.write(bytesOf(vector, piece.first, piece.end));
    for (const [index, piece] of piecesOf(own).entries()) {
      await this.#until(() => index < this.#summedPieces);
      await stream.write(bytesOf(vector, piece.first, piece.end));
    }
  }

  #sumWhatIsThere(vector: Float32Array): void {
    const own = this.#segment(this.#rank, vector.length);
    const pieces = piecesOf(own);
    const peers = this.#received.flatMap((bytes, peer) => (peer === this.#rank ? [] : [{ bytes, peer }]));
    for (; this.#summedPieces < pieces.length; this.#summedPieces++) {
      const piece = pieces[this.#summedPieces] as Segment;
      if (peers.some(({ bytes }) => bytes < (piece.end - own.first) * 4)) break;
      const target = vector.subarray(piece.first, piece.end);
      for (const { peer } of peers) add(target, this.#partials[peer] as Uint8Array, (piece.first - own.first) * 4);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  #segment(rank: number, length: number): Segment {
    return { first: Math.floor((length * rank) / this.#ranks), end: Math.floor((length * (rank + 1)) / this.#ranks) };
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

function piecesOf({ first, end }: Segment): Segment[] {
  const length = pieceBytes / 4;
  const count = Math.ceil((end - first) / length);
  return Array.from({ length: count }, (_, piece) => {
    const begin = first + piece * length;
    return { first: begin, end: Math.min(end, begin + length) };
  });
}

function bytesOf(vector: Float32Array, first: number, end: number): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset + first * 4, (end - first) * 4);
}

/** The same loop as collective/src/sum.ts; not imported, since a larger program pays more for its garbage. */
function add(target: Float32Array, source: Uint8Array, offset: number): void {
  const values = new Float32Array(source.buffer, source.byteOffset + offset, target.length);
  let at = 0;
  for (const last = target.length - 8; at <= last; at += 8) {
    target[at] = (target[at] as number) + (values[at] as number);
    target[at + 1] = (target[at + 1] as number) + (values[at + 1] as number);
    target[at + 2] = (target[at + 2] as number) + (values[at + 2] as number);
    target[at + 3] = (target[at + 3] as number) + (values[at + 3] as number);
    target[at + 4] = (target[at + 4] as number) + (values[at + 4] as number);
    target[at + 5] = (target[at + 5] as number) + (values[at + 5] as number);
    target[at + 6] = (target[at + 6] as number) + (values[at + 6] as number);
    target[at + 7] = (target[at + 7] as number) + (values[at + 7] as number);
  }
  for (; at < target.length; at++) target[at] = (target[at] as number) + (values[at] as number);
}
