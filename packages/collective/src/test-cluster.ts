/** For tests: members of one generation in one process, over real sockets, optionally behind slow ones. */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { parseAddress, startServer, type RunningServer } from "@lockstep/rpc";
import { Collective, type CollectiveOptions } from "./all-reduce.js";
import type { Generation } from "./generation.js";
import { PeerServer, type PeerServerOptions } from "./peer-server.js";

export const generation: Generation = { job: "digits", ballot: { incarnation: 3, counter: 7 }, planHash: 99n };

const nothing: PeerServerOptions["answers"] = {
  state: () => {
    throw new Error("not part of this test");
  },
  artifact: () => {
    throw new Error("not part of this test");
  },
};

export interface Listener {
  readonly peerServer: PeerServer;
  readonly running: RunningServer;
}

export async function listen(
  options: Partial<PeerServerOptions> & { token?: string; listen?: string } = {},
): Promise<Listener> {
  const peerServer = new PeerServer({ job: generation.job, worker: "w", answers: nothing, ...options });
  const services = [peerServer.service];
  return { peerServer, running: await startServer({ services, token: options.token, listen: options.listen }) };
}

export interface Cluster {
  readonly members: Collective[];
  readonly listeners: Listener[];
  close(): Promise<void>;
}

/** `ranks` members that know one another; with `delay`, each piece of bytes between them waits so many milliseconds. */
export async function startCluster(
  ranks: number,
  options: Partial<CollectiveOptions> & { delay?: () => number; listenOptions?: Parameters<typeof listen>[0] } = {},
): Promise<Cluster> {
  const listeners = await Promise.all(Array.from({ length: ranks }, () => listen(options.listenOptions)));
  const slow = options.delay;
  const proxies =
    slow === undefined ? [] : await Promise.all(listeners.map((l) => slowSocket(l.running.address, slow)));
  const addresses = listeners.map((listener, rank) => proxies[rank]?.address ?? listener.running.address);
  const members = listeners.map(
    ({ peerServer }, rank) =>
      new Collective({
        generation,
        rank,
        addresses,
        firstPosition: 1,
        server: peerServer,
        silenceMs: 5_000,
        ...options,
      }),
  );
  const close = async () => {
    for (const member of members) member.close();
    await Promise.all(listeners.map(({ running }) => running.stop(100)));
    for (const proxy of proxies) proxy.close();
  };
  return { members, listeners, close };
}

/** A relay to `target` that delays what it passes on, keeping the order of bytes. */
async function slowSocket(target: string, delay: () => number): Promise<{ address: string; close: () => void }> {
  const sockets = new Set<Socket>();
  const relay = (from: Socket, to: Socket) => {
    let last = Promise.resolve();
    const after = (act: () => void) => {
      const wait = delay();
      last = last.then(() => new Promise<void>((resolve) => setTimeout(resolve, wait))).then(act);
    };
    from.on("data", (bytes: Buffer) => after(() => to.write(bytes)));
    from.on("close", () => after(() => to.destroy()));
    from.on("error", () => to.destroy());
  };
  const { host, port } = parseAddress(target, "target");
  const server: Server = createServer((near) => {
    const far = connect(port, host);
    for (const socket of [near, far]) sockets.add(socket);
    relay(near, far);
    relay(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { address, close };
}
