/** The worker's control stream to the coordinator: what it says and hears. */
import {
  AttachedStream,
  type Heartbeat,
  type MembershipServiceClient,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";
import type { Log } from "@lockstep/telemetry";

export type Message = NonNullable<WorkerMessage["message"]>;
export type Order = NonNullable<WorkerOrder["order"]>;
export type Control = AttachedStream<Message, Order>;

export interface ControlOptions {
  readonly client: MembershipServiceClient;
  /** A stream is open; its first message must be Hello. */
  connected(): void;
  /** The stream broke; another try follows. */
  disconnected(): void;
  heartbeat(): Heartbeat;
  order(order: Order): void;
  readonly log: Log;
}

export function openControl(options: ControlOptions): Control {
  return new AttachedStream<Message, Order>({
    open: (callOptions) => options.client.attachWorker(callOptions),
    connected: () => options.connected(),
    disconnected: () => options.disconnected(),
    heartbeat: () => ({ $case: "heartbeat", value: options.heartbeat() }),
    order: (order) => options.order(order),
    warn: (sentence) => options.log.warn(sentence),
  });
}
