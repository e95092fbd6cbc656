/** A rank that reduces by @lockstep/collective: one micro-batch a rank, the streams and frames of a real run. */
import { Collective, PeerServer, type Generation } from "@lockstep/collective";
import { collectInOneGo, startServer } from "@lockstep/rpc";
import { runRank } from "./rank-process.js";

const generation: Generation = { job: "bench", ballot: { incarnation: 1, counter: 1 }, planHash: 1n };
const never = new AbortController().signal;
const noCounts = new BigUint64Array(0);
const unused = () => {
  throw new Error("not part of this benchmark");
};

collectInOneGo(); // as a worker does
await runRank(async (rank, ranks) => {
  const server = new PeerServer({ job: "bench", worker: String(rank), answers: { state: unused, artifact: unused } });
  const running = await startServer({ services: [server.service] });
  const runs = Array.from({ length: ranks }, (_, first) => [{ first, end: first + 1 }]);
  let collective: Collective | undefined;
  let position = 0;
  return {
    address: running.address,
    connect: (addresses) => {
      collective = new Collective({ generation, rank, addresses, firstPosition: 1, server });
      return Promise.resolve();
    },
    allReduce: async (vector) => {
      if (collective === undefined) throw new Error("not connected");
      position++;
      const shape = { position, microBatches: ranks, runs, vectorLength: vector.length, countsLength: 0 };
      const partials = collective.begin(shape);
      partials.add(rank, vector, noCounts);
      const start = process.hrtime.bigint();
      const { sums } = await collective.allReduce(partials, never);
      return { sums, seconds: Number(process.hrtime.bigint() - start) / 1e9 };
    },
  };
});
