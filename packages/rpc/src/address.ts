/** Addresses as people write them: "127.0.0.1:0", "localhost:7000", "[::1]:0". Port 0 lets the system choose. */
import { isIP } from "node:net";
import { InputError } from "@lockstep/spec";

export interface Address {
  /** Name or number, without brackets. */
  readonly host: string;
  /** 0..65535. */
  readonly port: number;
}

/** @throws InputError when `text` is no host:port; `where` names the flag or field it came from. */
export function parseAddress(text: string, where: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const bracketed = match?.[1] !== undefined;
  if (host === undefined || !(port <= 65535) || (bracketed && isIP(host) !== 6)) {
    throw new InputError({ where, found: `"${text}"`, allowed: 'host:port, such as "127.0.0.1:7000" or "[::1]:0"' });
  }
  return { host, port };
}

export function formatAddress(address: Address): string {
  return isIP(address.host) === 6 ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/**
 * What others are told to dial: `advertise` where it is given, its port 0 standing for the listener's; else the listener.
 * @throws InputError when `advertise` is no host:port
 */
export function advertisedAddress(advertise: string | undefined, listening: string): string {
  if (advertise === undefined) return listening;
  const wanted = parseAddress(advertise, "--advertise");
  return formatAddress(wanted.port === 0 ? { ...wanted, port: parseAddress(listening, "").port } : wanted);
}

/** What processes of the same machine dial for a listener: loopback where it listens on every address. */
export function reachableHere(listening: string): string {
  const address = parseAddress(listening, "the listener");
  if (address.host === "0.0.0.0") return formatAddress({ ...address, host: "127.0.0.1" });
  return address.host === "::" ? formatAddress({ ...address, host: "::1" }) : listening;
}

/** Whether only processes of this machine can reach a listener on `host`. A name other than localhost counts as not. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
