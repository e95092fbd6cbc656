/** What the coordinator's machine knows, what it is told, and what it asks for. Its rules are in membership.ts. */
import type { Answer } from "./forming.js";
import type { Ballot, Plan, ShardMap } from "./generation.js";
import type { ArtifactName, Held } from "./member.js";

export interface MembershipLimits {
  /** The first generation begins once so many workers are ready: all or nothing. */
  readonly workersWanted: number;
  /** How long a freeze, or a suspicion, waits. */
  readonly patienceMs: number;
  /** How long a worker may be without a control stream before it counts as lost. */
  readonly graceMs: number;
  /** T of R8: silence that counts as loss once nobody's position advances either. */
  readonly silenceMs: number;
}

export interface MembershipOptions extends MembershipLimits {
  readonly job: string;
  /** Raised in the store at every start of the coordinator's process (R4). */
  readonly incarnation: number;
  readonly microBatches: number;
  readonly shards: ShardMap;
}

/** A worker that has attached, and what it last said. */
export interface WorkerView extends Answer {
  readonly promised: Ballot;
  /** Hash of its last plan; undefined: it has none. */
  readonly planHash: bigint | undefined;
  readonly heardMs: number;
  /** Announced: silence before this time means nothing. */
  readonly quietUntilMs: number;
  /** When its control stream ended; undefined: it is open. */
  readonly detachedMs: number | undefined;
}

/** What Hello says. F is not in it: it is known again with the first heartbeat. */
export interface Attaching extends Omit<Answer, "held">, Pick<WorkerView, "promised" | "planHash"> {
  readonly held: Pick<Held, "position" | "chain"> | undefined;
}

/** Why the job ends before its last position. The first reason stands. */
export interface Ending {
  readonly outcome: "cancelled" | "failed";
  readonly why: string;
}

export interface Suspicion {
  readonly reporter: string;
  readonly suspect: string;
  readonly why: string;
  readonly sinceMs: number;
}

export type Stage =
  /** Waits for the workers wanted, with their states. */
  | { readonly at: "gather" }
  /** Freeze(ballot) is sent to `asked`. */
  | {
      readonly at: "freeze";
      readonly asked: readonly string[];
      readonly answered: readonly string[];
      readonly sinceMs: number;
    }
  /** Members compute; positions need nothing from here. */
  | { readonly at: "steady"; readonly plan: Plan }
  /** The writer publishes S(position); those in `tried` could not. */
  | {
      readonly at: "finish";
      readonly plan: Plan;
      readonly position: number;
      readonly writer: string;
      readonly tried: readonly string[];
      /** It has published, and the coordinator pulls: a writer that attaches again meanwhile is not asked again. */
      readonly storing: boolean;
    }
  | { readonly at: "closed" };

export interface MembershipState {
  readonly options: MembershipOptions;
  /** The newest ballot that was opened. */
  readonly ballot: Ballot;
  readonly stage: Stage;
  readonly workers: ReadonlyMap<string, WorkerView>;
  readonly suspicions: readonly Suspicion[];
  /** When a member's position last grew. */
  readonly advancedMs: number;
  readonly ending: Ending | undefined;
}

export type MembershipInput =
  | { readonly type: "attach"; readonly worker: Attaching }
  /** The store's incarnation after "raise-incarnation". */
  | { readonly type: "incarnation"; readonly incarnation: number }
  | { readonly type: "heartbeat"; readonly worker: string; readonly held: Held | undefined }
  /** What it does now looks like silence for so long. */
  | { readonly type: "announce"; readonly worker: string; readonly atMostMs: number }
  | { readonly type: "frozen"; readonly worker: string; readonly ballot: Ballot; readonly held: Held | undefined }
  /** It holds a later position than its plan expects. */
  | { readonly type: "ahead"; readonly worker: string; readonly ballot: Ballot }
  | {
      readonly type: "suspect";
      readonly reporter: string;
      readonly ballot: Ballot;
      readonly suspect: string;
      readonly why: string;
    }
  /** The control stream ended: the worker may be back. */
  | { readonly type: "detached"; readonly worker: string }
  /** Confirmed by its launcher, or by itself: it is gone. */
  | { readonly type: "lost"; readonly worker: string; readonly why: string }
  /** An intervention from outside (R11), or a fault of the job. */
  | { readonly type: "stop"; readonly ending: Ending }
  | {
      readonly type: "published";
      readonly worker: string;
      readonly ballot: Ballot;
      readonly artifacts: readonly ArtifactName[];
    }
  /** What "store-artifacts" asked for stands on durable storage. */
  | { readonly type: "stored" }
  | { readonly type: "not-stored"; readonly why: string }
  | { readonly type: "tick" };

export type MembershipOutput =
  | { readonly type: "freeze"; readonly worker: string; readonly ballot: Ballot }
  /** Make durable before what follows. */
  | { readonly type: "store"; readonly plan: Plan }
  | { readonly type: "plan"; readonly worker: string; readonly plan: Plan }
  | { readonly type: "publish"; readonly worker: string; readonly ballot: Ballot; readonly position: number }
  /** Pull the artifacts from the worker, then "stored" or "not-stored". */
  | {
      readonly type: "store-artifacts";
      readonly worker: string;
      readonly position: number;
      readonly artifacts: readonly ArtifactName[];
    }
  | { readonly type: "done"; readonly worker: string; readonly why: string }
  /** Raise the store's incarnation above this one, then "incarnation". */
  | { readonly type: "raise-incarnation"; readonly above: number }
  /** The job is closed; position: what was saved. */
  | {
      readonly type: "closed";
      readonly outcome: "done" | Ending["outcome"];
      readonly why: string;
      readonly position: number | undefined;
    }
  /** A decision with its reason, for log and events. */
  | { readonly type: "note"; readonly text: string };

export interface MembershipStep {
  readonly state: MembershipState;
  readonly outputs: readonly MembershipOutput[];
}
