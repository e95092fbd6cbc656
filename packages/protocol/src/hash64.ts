// A 64-bit hash for the plan's hash and the chain digest: FNV-1a (Fowler, Noll, Vo; RFC 9923) over 64-bit words with the
// finaliser of MurmurHash3 (Appleby) after each, so that every bit of a word reaches every bit of the result. Not
// cryptographic: it finds faults, not forgers, whom the join token keeps out.

const mask = (1n << 64n) - 1n;
const offsetBasis = 0xcbf29ce484222325n;
const prime = 0x100000001b3n;

/** Order matters; numbers are whole, texts are UTF-16 code units behind their length. */
export function hash64(values: Iterable<bigint | number | string>): bigint {
  let hash = offsetBasis;
  for (const value of values) {
    if (typeof value !== "string") {
      hash = mix(hash, BigInt(value));
      continue;
    }
    hash = mix(hash, BigInt(value.length));
    for (let i = 0; i < value.length; i++) hash = mix(hash, BigInt(value.charCodeAt(i)));
  }
  return hash;
}

function mix(hash: bigint, word: bigint): bigint {
  let h = ((hash ^ (word & mask)) * prime) & mask;
  h ^= h >> 33n;
  h = (h * 0xff51afd7ed558ccdn) & mask;
  h ^= h >> 33n;
  h = (h * 0xc4ceb9fe1a85ec53n) & mask;
  return h ^ (h >> 33n);
}

/** c(s) of rule R18 from c(s-1), s and the CRC32C of R(s) on its 1 MiB grid. c(0) is 0. */
export function chainDigest(before: bigint, position: number, checksums: Iterable<number>): bigint {
  return hash64([before, position, ...checksums]);
}
