/** Limits on what comes over the wire, each with its reason. A message above a limit ends its call with RESOURCE_EXHAUSTED. */

/**
 * Largest message that a server or client takes. Bulk pieces are at most 4 MiB and a job spec at most 1 MiB; the
 * largest honest message is a frame with the counts of an evaluation position of 1,000 classes (8 MB).
 */
export const messageBytesMax = 16 * 1024 * 1024;

/** Payload of one message of a file or a state: many a second, and little to repeat when a stream breaks. */
export const bulkPieceBytes = 1024 * 1024;

/**
 * What a server stream queues before it asks its service for more: the next piece is made while the last one is sent,
 * or the socket runs dry in between.
 */
export const sendQueueBytesMax = 4 * 1024 * 1024;

/**
 * HTTP/2 window of a connection and of each stream, as the receiver grants it. Node's default of 64 KiB makes a sender
 * stop four times per 256 KiB; 8 MiB or more reaches the speed of the socket. It also bounds what a receiver that does
 * not read can make the sender's kernel and itself hold per peer.
 */
export const flowControlWindowBytes = 16 * 1024 * 1024;

/** Longest wait between two tries to connect: a restarted service is found again within it. */
export const reconnectDelayMsMax = 2_000;
export const reconnectDelayMsMin = 100;

/** A connection without any traffic is probed after this time and given up when the probe stays unanswered. */
export const keepaliveMs = 20_000;
export const keepaliveTimeoutMs = 20_000;

/** Longest sentence that an error carries over the wire: status details travel in an HTTP/2 header. */
export const statusSentenceCharactersMax = 2_000;
