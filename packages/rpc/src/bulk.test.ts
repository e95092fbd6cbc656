import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { pullFrames, type FrameSink } from "./bulk-client.js";
import { callUnary, readStream } from "./call.js";
import { openClient } from "./channel.js";
import { decodeBatch, decodeFrame, encodeBatch, encodeFrame, frameParts } from "./bulk.js";
import { crc32c } from "./crc32c.js";
import { ExchangeRequest, Frame, FrameKind } from "./gen/lockstep/v1/collective.js";
import { Batch } from "./gen/lockstep/v1/data.js";
import { startServer } from "./server.js";
import { JobServiceClient } from "./gen/lockstep/v1/jobs.js";
import { PeerServiceClient, peerService } from "./services.js";
import { RpcError, Status } from "./status.js";
import { streamMethod, unaryMethod } from "./stream.js";

/** A small linear congruential generator: the same draws on every run. */
function draws(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function randomBytes(draw: (below: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => draw(256));
}

function randomFrame(draw: (below: number) => number): Frame {
  const sometimes = <T>(value: T, otherwise: T) => (draw(3) === 0 ? otherwise : value);
  const word = () => (BigInt(draw(2 ** 32)) << 32n) | BigInt(draw(2 ** 32));
  const lengths = [0, 1, 127, 128, 16_383, 16_384, 70_000];
  return {
    kind: sometimes<FrameKind>(FrameKind.PARTIAL, FrameKind.UNSPECIFIED),
    job: sometimes("Ziffern-ä", ""),
    ballot: sometimes({ incarnation: draw(2 ** 31), counter: draw(3) }, undefined),
    planHash: sometimes(word(), 0n),
    position: draw(2) * draw(2 ** 31) * 1024,
    nodeFirst: draw(1024),
    nodeEnd: draw(1024),
    offset: draw(2) * draw(2 ** 31) * 4096,
    total: draw(2 ** 31),
    crc32c: sometimes(draw(2 ** 32), 0),
    counts: Array.from({ length: draw(6) }, word),
    payload: randomBytes(draw, lengths[draw(lengths.length)] as number),
  };
}

function randomBatch(draw: (below: number) => number): Batch {
  const numbers = () => Array.from({ length: draw(40) }, () => draw(2 ** 31));
  return {
    position: draw(2 ** 31),
    microBatch: draw(1024),
    samples: draw(64),
    slots: numbers(),
    indices: numbers(),
    labels: numbers(),
    crc32c: draw(2 ** 32),
    pixels: randomBytes(draw, draw(3) * 5_000),
  };
}

describe("the bulk codec", () => {
  test("writes the bytes that the generated codec writes, and reads them back", () => {
    const draw = draws(1);
    for (let round = 0; round < 200; round++) {
      const frame = randomFrame(draw);
      const encoded = encodeFrame(frame);
      assert.deepEqual(new Uint8Array(encoded), new Uint8Array(Frame.encode(frame).finish()));
      assert.deepEqual(plain(decodeFrame(encoded)), plain(frame));
      const batch = randomBatch(draw);
      assert.deepEqual(new Uint8Array(encodeBatch(batch)), new Uint8Array(Batch.encode(batch).finish()));
      const { pixels, ...rest } = decodeBatch(encodeBatch(batch));
      assert.deepEqual({ ...rest, pixels: new Uint8Array(pixels) }, batch);
    }
  });

  test("copies no payload: sent from where it lies, read as a view of the message", () => {
    const payload = new Uint8Array(100_000);
    const parts = frameParts(Frame.create({ payload }));
    assert.equal(frameParts({ ...Frame.create({}), payload }).payload, payload);
    assert.ok(parts.head.byteLength < 64);
    const message = encodeFrame({ ...Frame.create({}), payload });
    assert.equal(decodeFrame(message).payload.buffer, message.buffer);
    const batch = encodeBatch({ ...Batch.create({}), pixels: payload });
    assert.equal(decodeBatch(batch).pixels.buffer, batch.buffer);
  });
});

function plain(frame: Frame): Frame {
  return { ...frame, payload: new Uint8Array(frame.payload) };
}

const request = ExchangeRequest.encode(ExchangeRequest.create({ job: "digits" })).finish();
const path = peerService.exchange.path;
const unused = () => {
  throw new Error("not part of this test");
};

/** A PeerService on bulk-server.ts. */
function bulkPeer(answer: Parameters<typeof streamMethod<ExchangeRequest, Frame>>[0], token?: string) {
  const implementation = {
    exchange: streamMethod(answer),
    state: streamMethod(unused),
    artifact: streamMethod(unused),
    probe: unaryMethod(unused),
  };
  return startServer({ services: [{ definition: peerService, implementation }], token });
}

/** Collects frames, payloads copied into places of its own. */
function collector(hold: (frame: Frame) => Promise<void> | undefined = () => undefined): {
  sink: FrameSink;
  frames: Frame[];
} {
  const frames: Frame[] = [];
  const sink: FrameSink = {
    place: (frame, payloadBytes) =>
      hold(frame)?.then(() => new Uint8Array(payloadBytes)) ?? new Uint8Array(payloadBytes),
    placed: (frame, payload) => {
      frames.push({ ...frame, payload: payload ?? new Uint8Array(0) });
    },
  };
  return { sink, frames };
}

const pull = (address: string, sink: FrameSink, over: { token?: string; signal?: AbortSignal } = {}) =>
  pullFrames({ address, path, request, what: "exchange", signal: new AbortController().signal, ...over }, sink);

describe("a pull of frames", () => {
  const sent = (() => {
    const draw = draws(2);
    return Array.from({ length: 60 }, () => {
      const frame = randomFrame(draw);
      return { ...frame, crc32c: crc32c(frame.payload) };
    });
  })();

  test("places every payload, from our server", async () => {
    const server = await bulkPeer(async function* () {
      yield* sent;
    });
    const { sink, frames } = collector();
    await pull(server.address, sink);
    assert.deepEqual(frames, sent);
    await server.stop(0);
  });

  test("places every payload, from grpc-js", async () => {
    const server = new Server();
    const implementation: UntypedServiceImplementation = {
      exchange: streamMethod(async function* () {
        yield* sent;
      }),
      state: streamMethod(unused),
      artifact: streamMethod(unused),
      probe: unaryMethod(unused),
    };
    server.addService(peerService, implementation);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const { sink, frames } = collector();
    await pull(`127.0.0.1:${port}`, sink);
    assert.deepEqual(frames, sent);
    server.forceShutdown();
  });

  test("reads on only when the sink has a place, and loses nothing by waiting", async () => {
    const server = await bulkPeer(async function* () {
      yield* sent;
    });
    let waits = 0;
    const { sink, frames } = collector((frame) => {
      if (frame.nodeFirst % 2 === 0) return undefined;
      waits++;
      return new Promise((resolve) => setImmediate(resolve));
    });
    await pull(server.address, sink);
    assert.ok(waits > 0);
    assert.deepEqual(frames, sent);
    await server.stop(0);
  });

  test("survives any cut of the bytes", async () => {
    const server = await bulkPeer(async function* () {
      yield* sent.slice(0, 8);
    });
    const relay = await byteByByteRelay(server.address, 7);
    const { sink, frames } = collector();
    await pull(relay.address, sink);
    assert.deepEqual(frames, sent.slice(0, 8));
    relay.close();
    await server.stop(0);
  });

  test("refuses a damaged payload, and hands over none", async () => {
    const payload = new Uint8Array(300_000);
    const server = await bulkPeer(async function* () {
      yield Frame.create({ payload, crc32c: crc32c(payload) });
      yield Frame.create({ payload, crc32c: (crc32c(payload) ^ 1) >>> 0 });
    });
    const { sink, frames } = collector();
    const refused = (error: unknown) => error instanceof RpcError && error.code === Status.DATA_LOSS;
    await assert.rejects(pull(server.address, sink), refused);
    assert.equal(frames.length, 1);
    await server.stop(0);
  });

  test("skips payloads that have no place", async () => {
    const server = await bulkPeer(async function* () {
      yield* sent;
    });
    const seen: number[] = [];
    const sink: FrameSink = { place: () => undefined, placed: (frame) => void seen.push(frame.total) };
    await pull(server.address, sink);
    assert.deepEqual(
      seen,
      sent.map((frame) => frame.total),
    );
    await server.stop(0);
  });

  test("ends with the sender's status, after the frames before it", async () => {
    const server = await bulkPeer(async function* () {
      yield Frame.create({ total: 1 });
      throw new RpcError(Status.FAILED_PRECONDITION, "promised 4.0: 100% sure, äh");
    });
    const { sink, frames } = collector();
    await assert.rejects(pull(server.address, sink), (error) => {
      assert.ok(error instanceof RpcError);
      assert.equal(error.code, Status.FAILED_PRECONDITION);
      assert.equal(error.message, "exchange: promised 4.0: 100% sure, äh");
      return true;
    });
    assert.equal(frames.length, 1);
    await server.stop(0);
  });

  test("throws what the sink throws, and the sender notices", async () => {
    const gone = new AbortController();
    const server = await bulkPeer(async function* (_request, { signal }) {
      signal.addEventListener("abort", () => gone.abort());
      for (;;) yield Frame.create({ payload: new Uint8Array(1 << 20) });
    });
    const place = () => {
      throw new Error("no such node");
    };
    await assert.rejects(pull(server.address, { place, placed: () => undefined }), /no such node/);
    if (!gone.signal.aborted) await once(gone.signal, "abort");
    await server.stop(0);
  });

  test("ends at once when aborted, while nothing comes", async () => {
    const abort = new AbortController();
    const server = await bulkPeer(async function* (_request, { signal }) {
      yield Frame.create({});
      await once(signal, "abort");
    });
    const placed = () => abort.abort(new Error("enough"));
    const sink: FrameSink = { place: () => undefined, placed };
    await assert.rejects(pull(server.address, sink, { signal: abort.signal }), /enough/);
    await server.stop(0);
  });

  test("needs the token of a listener that has one", async () => {
    const server = await bulkPeer(async function* () {
      yield Frame.create({});
    }, "secret");
    const { sink, frames } = collector();
    const refused = (error: unknown) => error instanceof RpcError && error.code === Status.UNAUTHENTICATED;
    await assert.rejects(pull(server.address, sink), refused);
    await assert.rejects(pull(server.address, sink, { token: "secrets" }), refused);
    await pull(server.address, sink, { token: "secret" });
    assert.equal(frames.length, 1);
    await server.stop(0);
  });

  test("says that a peer is not there, or is lost", async () => {
    const server = await bulkPeer(async function* (_request, { signal }) {
      yield Frame.create({});
      await once(signal, "abort");
    });
    const unavailable = (error: unknown) => error instanceof RpcError && error.code === Status.UNAVAILABLE;
    const sink: FrameSink = { place: () => undefined, placed: () => void server.stop(0) };
    await assert.rejects(pull(server.address, sink), unavailable);
    await assert.rejects(pull(server.address, sink), unavailable);
  });
});

describe("a server of bulk streams", () => {
  test("keeps a grpc-js caller's deadline: tells the caller and the service", async () => {
    const told = new AbortController();
    const server = await bulkPeer(async function* (_request, { signal }) {
      signal.addEventListener("abort", () => told.abort());
      yield Frame.create({});
      await once(signal, "abort");
    });
    const client = openClient(PeerServiceClient, server.address);
    const open = (options: object) => client.exchange(ExchangeRequest.create({}), options);
    await assert.rejects(
      async () => {
        for await (const frame of readStream(open, { what: "Exchange", deadlineMs: 200 })) assert.equal(frame.total, 0);
      },
      (error) => error instanceof RpcError && error.code === Status.DEADLINE_EXCEEDED,
    );
    if (!told.signal.aborted) await once(told.signal, "abort");
    client.close();
    await server.stop(0);
  });

  test("says that a method is not there", async () => {
    const server = await bulkPeer(async function* () {
      yield Frame.create({});
    });
    const client = openClient(JobServiceClient, server.address);
    await assert.rejects(
      callUnary(client.get.bind(client), { job: "digits" }, { what: "Get", deadlineMs: 5_000 }),
      (error) => error instanceof RpcError && error.code === Status.UNIMPLEMENTED,
    );
    client.close();
    await server.stop(0);
  });

  test("lets running calls end before it stops, within its grace", async () => {
    let finish: () => void = () => undefined;
    const server = await bulkPeer(async function* () {
      yield Frame.create({ total: 1 });
      await new Promise<void>((resolve) => (finish = resolve));
      yield Frame.create({ total: 2 });
    });
    const { sink, frames } = collector();
    let stopped: Promise<void> | undefined;
    const stopping: FrameSink = {
      place: sink.place.bind(sink),
      placed: (frame, payload) => {
        sink.placed(frame, payload);
        if (frames.length > 1) return;
        stopped = server.stop(10_000);
        finish();
      },
    };
    await pull(server.address, stopping);
    await stopped;
    assert.deepEqual(
      frames.map((frame) => frame.total),
      [1, 2],
    );
  });
});

/** Passes bytes on in pieces of `size`. */
async function byteByByteRelay(target: string, size: number): Promise<{ address: string; close: () => void }> {
  const { connect } = await import("node:net");
  const port = Number(target.split(":")[1]);
  const relay = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.pipe(far);
    far.on("data", (bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += size) near.write(bytes.subarray(at, at + size));
    });
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.setNoDelay();
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return { address: `127.0.0.1:${(relay.address() as AddressInfo).port}`, close: () => relay.close() };
}
