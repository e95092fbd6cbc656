/** Clients of other services: one connection each, no proxy, windows wide enough for bulk streams. */
import { credentials, logVerbosity, setLogVerbosity, type ChannelCredentials, type ClientOptions } from "@grpc/grpc-js";
import { formatAddress, parseAddress } from "./address.js";
import {
  flowControlWindowBytes,
  keepaliveMs,
  keepaliveTimeoutMs,
  messageBytesMax,
  reconnectDelayMsMax,
  reconnectDelayMsMin,
} from "./limits.js";
import { tokenSent } from "./token.js";

// grpc-js writes to stderr on its own, amid progress bars and JSON lines; each failure reaches our caller as an error.
setLogVerbosity(logVerbosity.NONE);

type ClientConstructor<Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => Client;

/** Options that servers and clients share. */
export const connectionOptions = {
  "grpc.max_receive_message_length": messageBytesMax,
  "grpc.max_send_message_length": messageBytesMax,
  "grpc.keepalive_time_ms": keepaliveMs,
  "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
  "grpc.enable_channelz": 0, // counts every message of a bulk stream for a page that nobody serves
} as const;

/**
 * Opens a client, for example `openClient(JobServiceClient, "127.0.0.1:7000", { token })`. Connects with the first
 * call. The caller closes it (`client.close()`).
 * @throws InputError when `address` is no host:port.
 */
export function openClient<Client>(
  constructor: ClientConstructor<Client>,
  address: string,
  options: { token?: string | undefined } = {},
): Client {
  const target = formatAddress(parseAddress(address, "address of a service"));
  return new constructor(target, credentials.createInsecure(), {
    ...connectionOptions,
    "grpc.enable_http_proxy": 0, // services of one job talk directly, whatever HTTP_PROXY says
    "grpc.use_local_subchannel_pool": 1, // a connection of its own: windows are per connection
    "grpc.enable_retries": 0, // retries would keep copies of bulk messages; call.ts repeats where it is safe
    "grpc.service_config_disable_resolution": 1,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.initial_reconnect_backoff_ms": reconnectDelayMsMin,
    "grpc.max_reconnect_backoff_ms": reconnectDelayMsMax,
    "grpc-node.flow_control_window": flowControlWindowBytes,
    ...(options.token === undefined ? {} : { interceptors: [tokenSent(options.token)] }),
  });
}
