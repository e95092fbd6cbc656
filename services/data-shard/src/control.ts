/** The data-shard's control stream to the coordinator: what it says and hears. */
import {
  AttachedStream,
  type MembershipServiceClient,
  type ShardHeartbeat,
  type ShardHello,
  type ShardMessage,
  type ShardOrder,
} from "@lockstep/rpc";
import type { Log } from "@lockstep/telemetry";

export type Message = NonNullable<ShardMessage["message"]>;
export type Order = NonNullable<ShardOrder["order"]>;
export type Control = AttachedStream<Message, Order>;

export interface ControlOptions {
  readonly client: MembershipServiceClient;
  /** What each stream begins with. */
  readonly hello: ShardHello;
  heartbeat(): ShardHeartbeat;
  order(order: Order): void;
  readonly log: Log;
}

export function openControl(options: ControlOptions): Control {
  const control: Control = new AttachedStream<Message, Order>({
    open: (callOptions) => options.client.attachShard(callOptions),
    connected: () => control.send({ $case: "hello", value: options.hello }),
    heartbeat: () => ({ $case: "heartbeat", value: options.heartbeat() }),
    order: (order) => options.order(order),
    warn: (sentence) => options.log.warn(sentence),
  });
  return control;
}
