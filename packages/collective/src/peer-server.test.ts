import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  FrameKind,
  PeerServiceClient,
  callUnary,
  openClient,
  readStream,
  type ExchangeRequest,
  type Frame,
} from "@lockstep/rpc";
import type { Collective } from "./all-reduce.js";
import { PeerError } from "./peer-client.js";
import type { PeerServer } from "./peer-server.js";
import { generation, listen, startCluster } from "./test-cluster.js";

const never = new AbortController().signal;

describe("a peer's request", () => {
  const request = (over: Partial<ExchangeRequest>): ExchangeRequest => ({
    job: generation.job,
    ballot: generation.ballot,
    planHash: generation.planHash,
    rank: 1,
    firstPosition: 1,
    ...over,
  });
  async function firstFrame(
    address: string,
    over: Partial<ExchangeRequest>,
    token?: string,
  ): Promise<Frame | undefined> {
    const client = openClient(PeerServiceClient, address, { token });
    try {
      const open = (options: object) => client.exchange(request(over), options);
      for await (const frame of readStream(open, { what: "Exchange", deadlineMs: 5_000 })) return frame;
      return undefined;
    } finally {
      client.close();
    }
  }
  const offered = (peerServer: PeerServer, of = generation) =>
    peerServer.offer({
      generation: of,
      ranks: 2,
      async *framesTo() {
        yield {
          ...({} as Frame),
          kind: FrameKind.PARTIAL,
          job: of.job,
          ballot: of.ballot,
          planHash: of.planHash,
          position: 1,
          nodeFirst: 0,
          nodeEnd: 0,
          offset: 0,
          total: 0,
          crc32c: 0,
          counts: [],
          payload: new Uint8Array(0),
        };
      },
    });

  test("of an older generation than promised is refused, with the promised one", async () => {
    const { peerServer, running } = await listen();
    offered(peerServer);
    await assert.rejects(firstFrame(running.address, { ballot: { incarnation: 3, counter: 6 } }), /promised 3\.7/);
    await assert.rejects(firstFrame(running.address, { ballot: { incarnation: 2, counter: 9 } }), /promised 3\.7/);
    peerServer.promise({ incarnation: 4, counter: 0 });
    await assert.rejects(firstFrame(running.address, {}), /Generation 3\.7 is over: this worker promised 4\.0/);
    await running.stop(0);
  });

  test("with the same number and another plan is refused with an alarm", async () => {
    const { peerServer, running } = await listen();
    offered(peerServer);
    await assert.rejects(firstFrame(running.address, { planHash: 98n }), /Two plans carry generation 3\.7/);
    await running.stop(0);
  });

  test("of a newer generation is held until the own plan arrives", async () => {
    const { peerServer, running } = await listen();
    const held = firstFrame(running.address, {});
    offered(peerServer);
    assert.equal((await held)?.planHash, generation.planHash);
    await running.stop(0);
  });

  test("of a newer generation is given up at the deadline when no plan arrives", async () => {
    const { running } = await listen({ planWaitMs: 20 });
    await assert.rejects(firstFrame(running.address, {}), /no plan of generation 3\.7 after 20 ms/);
    await running.stop(0);
  });

  test("that is open ends when a newer generation is promised", async () => {
    const cluster = await startCluster(2);
    try {
      const runs = [[{ first: 0, end: 1 }], [{ first: 1, end: 2 }]];
      const member = cluster.members[0] as Collective;
      const partials = member.begin({ position: 1, microBatches: 2, runs, vectorLength: 1, countsLength: 0 });
      partials.add(0, Float32Array.of(1), new BigUint64Array(0));
      const waiting = member.allReduce(partials, never);
      cluster.listeners[1]?.peerServer.promise({ incarnation: 3, counter: 8 });
      await assert.rejects(waiting, (error) => error instanceof PeerError && error.fault === "refused");
    } finally {
      await cluster.close();
    }
  });

  test("of another job or of a rank that does not exist is refused", async () => {
    const { peerServer, running } = await listen();
    offered(peerServer);
    await assert.rejects(firstFrame(running.address, { job: "letters" }), /works for job digits, not letters/);
    await assert.rejects(firstFrame(running.address, { rank: 2 }), /no rank 2 of 2/);
    await running.stop(0);
  });

  test("without the job's token is refused, with it served", async () => {
    const { peerServer, running } = await listen({ token: "secret", listen: "0.0.0.0:0" });
    offered(peerServer);
    const address = running.address.replace("0.0.0.0", "127.0.0.1");
    await assert.rejects(firstFrame(address, {}), /join token/);
    await assert.rejects(firstFrame(address, {}, "other"), /join token/);
    assert.ok(await firstFrame(address, {}, "secret"));
    await running.stop(0);
  });

  test("a probe answers with the worker", async () => {
    const { running } = await listen({ worker: "0b5c" });
    const client = openClient(PeerServiceClient, running.address);
    const reply = await callUnary(
      client.probe.bind(client),
      { job: generation.job },
      { what: "Probe", deadlineMs: 5_000 },
    );
    assert.equal(reply.worker, "0b5c");
    client.close();
    await running.stop(0);
  });
});
