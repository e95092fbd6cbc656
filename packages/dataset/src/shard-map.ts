/**
 * Who serves which samples. Sample indices are cut into blocks; each block has one owner, or two where there are two
 * data-shards or more, of which the first that can be reached is asked. Blocks go round the shards; the second owner
 * moves on by one with each round, so that the blocks of a lost shard fall to all others alike:
 *
 *   3 shards    block   0    1    2    3    4    5    6 ...
 *               owners  0,1  1,2  2,0  0,2  1,0  2,1  0,1
 */
export interface ShardMap {
  /** Grows with every change. */
  readonly version: number;
  /** Samples in a block; the last may hold fewer. */
  readonly blockSamples: number;
  readonly shardCount: number;
  readonly ownersPerBlock: 1 | 2;
  /** Owners of block b: shard indices at [b * ownersPerBlock], the one asked first leading. */
  readonly owners: Uint32Array;
}

/** What the owner of a sample depends on; the wire's ShardMap has these fields too. */
export interface BlockOwners {
  readonly blockSamples: number;
  readonly ownersPerBlock: number;
  readonly owners: ArrayLike<number>;
}

/** Small enough for 32 blocks a shard on small sets, so that work is even; larger ones only lengthen the map. */
const blocksPerShard = 32;
const blockSamplesMax = 1024;

/**
 * @param blockSamples default: a 32nd of a shard's share, 1 to 1,024
 * @throws Error when a count is not a positive whole number
 */
export function makeShardMap(options: {
  readonly version: number;
  readonly sampleCount: number;
  readonly shardCount: number;
  readonly blockSamples?: number;
}): ShardMap {
  const { version, sampleCount, shardCount } = options;
  if (!Number.isInteger(shardCount) || shardCount < 1) throw new Error(`a shard map needs shards, not ${shardCount}`);
  const fair = Math.ceil(sampleCount / (shardCount * blocksPerShard));
  const blockSamples = options.blockSamples ?? Math.min(blockSamplesMax, Math.max(1, fair));
  if (!Number.isInteger(blockSamples) || blockSamples < 1)
    throw new Error(`a block cannot hold ${blockSamples} samples`);
  const ownersPerBlock = shardCount > 1 ? 2 : 1;
  const blockCount = Math.ceil(sampleCount / blockSamples);
  const owners = new Uint32Array(blockCount * ownersPerBlock);
  for (let block = 0; block < blockCount; block++) {
    const first = block % shardCount;
    owners[block * ownersPerBlock] = first;
    if (ownersPerBlock === 1) continue;
    const round = Math.floor(block / shardCount);
    owners[block * 2 + 1] = (first + 1 + (round % (shardCount - 1))) % shardCount;
  }
  return { version, blockSamples, shardCount, ownersPerBlock, owners };
}

/**
 * The shard to ask for a sample: the first owner of its block that is not unreachable; undefined when none is left.
 * @throws Error when the map does not cover the sample
 */
export function ownerOf(map: BlockOwners, sampleIndex: number, unreachable: ReadonlySet<number>): number | undefined {
  const first = Math.floor(sampleIndex / map.blockSamples) * map.ownersPerBlock;
  if (!(first + map.ownersPerBlock <= map.owners.length))
    throw new Error(`sample ${sampleIndex} is outside the shard map`);
  for (let k = first; k < first + map.ownersPerBlock; k++) {
    const owner = map.owners[k] as number;
    if (!unreachable.has(owner)) return owner;
  }
  return undefined;
}

/** By shard index: how many of `sampleCount` samples it is asked for while every shard can be reached. */
export function samplesPerShard(map: ShardMap, sampleCount: number): number[] {
  const counts = Array.from({ length: map.shardCount }, () => 0);
  for (let block = 0; block * map.blockSamples < sampleCount; block++) {
    const owner = map.owners[block * map.ownersPerBlock] as number;
    const samples = Math.min(map.blockSamples, sampleCount - block * map.blockSamples);
    counts[owner] = (counts[owner] as number) + samples;
  }
  return counts;
}
