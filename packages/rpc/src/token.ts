/**
 * The join token: a shared secret in the metadata of every call ("lockstep-token"). A server that has one refuses calls
 * without it with UNAUTHENTICATED. Compared in constant time, over hashes, so that neither content nor length leaks.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import {
  InterceptingCall,
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  type Interceptor,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { RpcError, Status, statusOf } from "./status.js";

export const tokenMetadataKey = "lockstep-token";

const digest = (text: string | Buffer) => createHash("sha256").update(text).digest();

export function tokenMatches(expected: string, given: string | Buffer | undefined): boolean {
  return timingSafeEqual(digest(expected), digest(given ?? "")) && given !== undefined;
}

export function missingToken(): RpcError {
  const sentence = "This service needs the job's join token (LOCKSTEP_TOKEN); the call had none or another one.";
  return new RpcError(Status.UNAUTHENTICATED, sentence);
}

/** Refuses calls without the token before their service sees them. */
export function tokenRequired(token: string): ServerInterceptor {
  return (_method, call) => {
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        if (tokenMatches(token, metadata.get(tokenMetadataKey)[0])) return next(metadata);
        call.sendStatus(statusOf(missingToken()));
      })
      .build();
    return new ServerInterceptingCall(call, new ResponderBuilder().withStart((next) => next(listener)).build());
  };
}

/** Adds the token to every call of a client. */
export function tokenSent(token: string): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        metadata.set(tokenMetadataKey, token);
        next(metadata, listener);
      },
    });
}
