/**
 * A gRPC listener: loopback by default; beyond loopback only with a join token. Services whose methods all take one
 * request are served by bulk-server.ts, others by grpc-js; callers see no difference.
 */
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { InputError } from "@lockstep/spec";
import { formatAddress, isLoopback, parseAddress } from "./address.js";
import { singleRequestMethods, startBulkServer } from "./bulk-server.js";
import { connectionOptions } from "./channel.js";
import { tokenRequired } from "./token.js";

export const defaultListenAddress = "127.0.0.1:0";

export interface ServedService {
  /** For example peerService. */
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface RunningServer {
  /** host:port that it listens on, with the port that the system chose. */
  readonly address: string;
  /** No new calls; waits for the running ones, at most `graceMs` milliseconds, then cuts them. */
  stop(graceMs: number): Promise<void>;
}

export interface ListenOptions {
  readonly services: readonly ServedService[];
  /** host:port, default 127.0.0.1:0. */
  readonly listen?: string | undefined;
  /** Required of every call when given. */
  readonly token?: string | undefined;
  /** The flag that `listen` came from, for error messages. */
  readonly where?: string;
}

/**
 * @throws InputError when the address is malformed, in use or not of this machine, or is beyond loopback without a token.
 */
export async function startServer(options: ListenOptions): Promise<RunningServer> {
  const where = options.where ?? "--listen";
  const wanted = parseAddress(options.listen ?? defaultListenAddress, where);
  const token = options.token === "" ? undefined : options.token;
  if (token === undefined && !isLoopback(wanted.host)) {
    throw new InputError({
      where,
      found: `"${formatAddress(wanted)}", which other machines can reach, and no join token`,
      allowed: "a loopback address such as 127.0.0.1:0, or any address with a join token in LOCKSTEP_TOKEN",
    });
  }
  const methods = singleRequestMethods(options.services);
  if (methods !== undefined) {
    const bulk = await startBulkServer(wanted, methods, token).catch((error: unknown) => {
      throw cannotListen(formatAddress(wanted), where, error);
    });
    return { address: formatAddress({ host: wanted.host, port: bulk.port }), stop: (graceMs) => bulk.stop(graceMs) };
  }
  const server = new Server({
    ...connectionOptions,
    ...(token === undefined ? {} : { interceptors: [tokenRequired(token)] }),
  });
  for (const { definition, implementation } of options.services) server.addService(definition, implementation);
  const port = await bind(server, formatAddress(wanted), where);
  return { address: formatAddress({ host: wanted.host, port }), stop: (graceMs) => stop(server, graceMs) };
}

function bind(server: Server, address: string, where: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(cannotListen(address, where, error));
    });
  });
}

/** grpc-js hands on the system's error inside a text of its own. */
const listenFaults = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "it is not an address of this machine",
  ENOTFOUND: "it is not an address of this machine",
  EACCES: "permission denied",
} as const;

function cannotListen(address: string, where: string, cause: unknown): InputError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const why = Object.entries(listenFaults).find(([errno]) => text.includes(errno))?.[1] ?? text.split("\n", 1)[0];
  const found = `"${address}", which cannot be listened on: ${why}`;
  return new InputError({ where, found, allowed: "a free port on an address of this machine", cause });
}

function stop(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.forceShutdown();
      resolve(); // a caller that does not read keeps its connection until keepalive gives it up: nobody waits for that
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      server.forceShutdown(); // idle connections too: nothing of this listener outlives it
      resolve();
    });
  });
}
