/**
 * Who waits for whom across processes, in milliseconds: longer than what is waited for may take, or one side gives up on
 * another that does what it should. Waits inside one process stand where they are used.
 */

/** Of a worker, creating its sessions on a loaded machine. It announces so much to the coordinator, which takes it for no silence. */
export const sessionsMsMax = 120_000;

/** Of a worker, for a peer to have the plan, and for the next part that a peer owes it: the peer may still be creating its sessions. */
export const peerWaitMs = sessionsMsMax;

/** Of a worker that has failed with a whole state, for a word what to save: a freeze stays open while another creates its sessions. */
export const failedMsMax = sessionsMsMax + 60_000;

/** Of the coordinator, pulling one file from a worker: a slow link moves 1 MB/s, and the largest models have a few hundred. */
export const pullMsMax = 600_000;

/** Of a worker at the last position, for the word that the job is done: the coordinator pulls three files. */
export const holdMsMax = 4 * pullMsMax;

/** Of the coordinator that is asked to end, for its jobs to save what is trained; then it leaves without. */
export const coordinatorEndMsMax = 60_000;

/** Of the command that has asked the coordinator to end, before it ends it by force. */
export const coordinatorKillMs = coordinatorEndMsMax + 10_000;
