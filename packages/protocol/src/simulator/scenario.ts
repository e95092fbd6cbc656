/**
 * Conversations as text: prose, commands, "----", and the trace that they give. A change of the protocol is reviewed as a
 * changed conversation. A file has one or more such parts; the last paragraph before "----" holds the commands, one a line:
 *
 *   start 3 micro=8 batch=8 train=16 validation=8 test=8 epochs=1   a cluster of three workers, which attach
 *   run | run 5                        compute on, at most to position 5
 *   stop why...                        an intervention from outside
 *   fail why...                        a fault that somebody else found, such as a data-shard
 *   fault 2 sentence...                worker-2 finds the job at fault at the position that it is at
 *   kill 2 | disconnect 2 | connect 2  the process ends; the control stream breaks, and is opened again
 *   pause 2 | resume 2                 worker-2 takes no sums from its peers
 *   suspect 1 2 why...                 worker-1 cannot reach worker-2
 *   busy 2                             worker-2 makes no files when asked to publish
 *   corrupt 2                          worker-2 holds another state than the others
 *   freeze 2 1.1 | plan 2              an old freeze, or the present plan, arrives at worker-2 again
 *   tick 5000                          milliseconds pass
 */
import { Cluster } from "./cluster.js";

/** @returns the same text with the traces as they come out now */
export function runScenario(text: string): string {
  const output: string[] = [];
  let cluster: Cluster | undefined;
  for (const part of partsOf(text)) {
    output.push(...part.lead, "----");
    for (const command of part.commands) {
      cluster = runCommand(cluster, command);
    }
    output.push(...(cluster?.trace.splice(0) ?? []), "");
  }
  return `${output.join("\n").trimEnd()}\n`;
}

interface Part {
  /** Prose and commands as they stand. */
  readonly lead: readonly string[];
  readonly commands: readonly string[];
}

function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let lead: string[] = [];
  let inTrace = false;
  for (const line of text.split("\n")) {
    if (inTrace) {
      // A trace ends with the first empty line.
      if (line === "") inTrace = false;
    } else if (line === "----") {
      parts.push({ lead, commands: lead.slice(lead.lastIndexOf("") + 1) });
      lead = [];
      inTrace = true;
    } else {
      lead.push(line);
    }
  }
  return parts;
}

function runCommand(cluster: Cluster | undefined, command: string): Cluster {
  const [verb = "", ...words] = command.split(" ");
  if (verb === "start") return startCluster(words);
  if (cluster === undefined) throw new Error(`"${command}" comes before "start".`);
  const name = `worker-${words[0]}`;
  const rest = words.slice(1).join(" ");
  switch (verb) {
    case "run":
      cluster.run(words[0] === undefined ? Infinity : Number(words[0]));
      break;
    case "stop":
      cluster.stop("cancelled", words.join(" "));
      break;
    case "fail":
      cluster.stop("failed", words.join(" "));
      break;
    case "fault":
      cluster.fault(name, rest);
      break;
    case "kill":
      cluster.kill(name);
      break;
    case "disconnect":
      cluster.disconnect(name);
      break;
    case "connect":
      cluster.connect(name);
      break;
    case "pause":
    case "resume":
      cluster.pause(name, verb === "pause");
      break;
    case "suspect":
      cluster.suspect(name, `worker-${words[1]}`, words.slice(2).join(" "));
      break;
    case "busy":
      cluster.occupy(name);
      break;
    case "corrupt":
      cluster.corrupt(name);
      break;
    case "freeze": {
      const [incarnation = 0, counter = 0] = rest.split(".").map(Number);
      cluster.replayFreeze(name, { incarnation, counter });
      break;
    }
    case "plan":
      cluster.replayPlan(name);
      break;
    case "tick":
      cluster.tick(Number(words[0]));
      break;
    default:
      throw new Error(`"${verb}" is no command of a conversation.`);
  }
  return cluster;
}

function startCluster(words: readonly string[]): Cluster {
  const numbers = new Map(words.slice(1).map((word) => [word.split("=")[0], Number(word.split("=")[1])]));
  const cluster = new Cluster({
    workers: Number(words[0]),
    timetable: {
      trainSamples: numbers.get("train") ?? 16,
      validationSamples: numbers.get("validation") ?? 0,
      testSamples: numbers.get("test") ?? 0,
      epochs: numbers.get("epochs") ?? 1,
      batchSize: numbers.get("batch") ?? 8,
      microBatches: numbers.get("micro") ?? 4,
    },
  });
  cluster.start();
  return cluster;
}
