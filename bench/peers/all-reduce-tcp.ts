/** A rank over raw TCP between Node processes: a socket per pair and direction, read into one buffer. */
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { runRank } from "./rank-process.js";
import { TwoHop, type PeerStream } from "./two-hop.js";

await runRank(async (rank, ranks) => {
  const exchange = new TwoHop(rank, ranks);
  const streams: (PeerStream | undefined)[] = Array.from({ length: ranks }, () => undefined);
  let opened: () => void = () => undefined;
  const server = createServer((socket) => {
    socket.setNoDelay();
    socket.once("data", (hello: Buffer) => {
      streams[hello[0] as number] = { write: (bytes) => writeTo(socket, bytes) };
      opened();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connect: async (addresses) => {
      for (const [peer, address] of addresses.entries()) {
        if (peer === rank) continue;
        const buffer = new Uint8Array(1 << 20);
        const callback = (bytes: number) => {
          exchange.take(peer, buffer.subarray(0, bytes));
          return true;
        };
        const [host = "", port] = address.split(":");
        connect({ host, port: Number(port), onread: { buffer, callback } }).write(Uint8Array.of(rank));
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

function writeTo(socket: Socket, bytes: Uint8Array): Promise<void> | void {
  if (!socket.write(bytes)) return new Promise((resolve) => socket.once("drain", resolve));
}
