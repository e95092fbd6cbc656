// The control streams of workers and data-shards: the first message says which job they belong to.

import {
  bulkPieceBytes,
  duplexMethod,
  type Hello,
  type MembershipServiceServer,
  membershipService,
  RpcError,
  type ServedService,
  type ShardHello,
  type ShardMessage,
  type ShardOrder,
  Status,
  streamMethod,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";
import type { Jobs } from "./job-service.js";

export function attachService(jobs: Jobs): ServedService {
  const implementation: MembershipServiceServer = {
    attachWorker: duplexMethod<WorkerMessage, WorkerOrder>(async (messages, send) => {
      const { hello, rest } = await split<WorkerMessage, Hello>(messages, helloOfWorker);
      const { members } = jobs.supervisorOf(hello.job);
      if (members === undefined) throw notYet("workers");
      await members.serve(rest, send, hello);
    }),
    attachShard: duplexMethod<ShardMessage, ShardOrder>(async (messages, send) => {
      const { hello, rest } = await split<ShardMessage, ShardHello>(messages, helloOfShard);
      const { shards } = jobs.supervisorOf(hello.job);
      if (shards === undefined) throw notYet("data-shards");
      await shards.serve(rest, send, hello);
    }),
    manifest: streamMethod(({ job }) => pieces(jobs, job)),
  };
  return { definition: membershipService, implementation };
}

function helloOfWorker({ message }: WorkerMessage): Hello | undefined {
  return message?.$case === "hello" ? message.value : undefined;
}

function helloOfShard({ message }: ShardMessage): ShardHello | undefined {
  return message?.$case === "hello" ? message.value : undefined;
}

/** The first message, which must be Hello, apart from those after it. */
async function split<Message, Greeting>(
  messages: AsyncIterable<Message>,
  helloOf: (message: Message) => Greeting | undefined,
): Promise<{ hello: Greeting; rest: AsyncIterable<Message> }> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  const hello = first.done === true ? undefined : helloOf(first.value);
  if (hello === undefined) throw new RpcError(Status.INVALID_ARGUMENT, "A control stream begins with Hello.");
  return { hello, rest: { [Symbol.asyncIterator]: () => iterator } };
}

// UNAVAILABLE: the caller tries again.
function notYet(who: string): RpcError {
  return new RpcError(Status.UNAVAILABLE, `The job does not take ${who} yet.`);
}

async function* pieces(jobs: Jobs, job: string): AsyncGenerator<{ bytes: Uint8Array }> {
  const { manifest } = jobs.supervisorOf(job);
  if (manifest === undefined) throw notYet("requests for its manifest");
  for (let offset = 0; offset < manifest.length; offset += bulkPieceBytes)
    yield { bytes: manifest.subarray(offset, offset + bulkPieceBytes) };
}
