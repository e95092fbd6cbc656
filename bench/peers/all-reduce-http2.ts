/** A rank over Node's http2: a stream per pair and direction, kept open; the caller receives. */
import { connect, createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { runRank } from "./rank-process.js";
import { TwoHop, type PeerStream } from "./two-hop.js";

const windowBytes = 16 << 20;

await runRank(async (rank, ranks) => {
  const exchange = new TwoHop(rank, ranks);
  const streams: (PeerStream | undefined)[] = Array.from({ length: ranks }, () => undefined);
  let opened: () => void = () => undefined;
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.respond({ ":status": 200 });
    streams[Number(headers["x-rank"])] = { write: (bytes) => writeTo(stream, bytes) };
    opened();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connect: async (addresses) => {
      for (const [peer, address] of addresses.entries()) {
        if (peer === rank) continue;
        const session = connect(`http://${address}`, { settings: { initialWindowSize: windowBytes } });
        session.once("remoteSettings", () => session.setLocalWindowSize(windowBytes));
        session.request({ "x-rank": rank }).on("data", (bytes: Buffer) => exchange.take(peer, bytes));
      }
      while (streams.filter((stream) => stream !== undefined).length < ranks - 1) {
        await new Promise<void>((resolve) => (opened = resolve));
      }
    },
    allReduce: async (vector) => {
      const start = process.hrtime.bigint();
      await exchange.allReduce(vector, streams);
      return { sums: vector, seconds: Number(process.hrtime.bigint() - start) / 1e9 };
    },
  };
});

function writeTo(stream: ServerHttp2Stream, bytes: Uint8Array): Promise<void> | void {
  if (!stream.write(bytes)) return new Promise((resolve) => stream.once("drain", resolve));
}
