/** The one float addition of the collective, in float32: target[i] = left[i] + right[i]. `target` may be either of them. */
export function addInto(target: Float32Array, left: Float32Array, right: Float32Array): void {
  const length = target.length;
  if (left.length !== length || right.length !== length) {
    throw new Error(`sums of unequal lengths: ${left.length} + ${right.length} into ${length}`);
  }
  for (let at = 0; at < length; at++) target[at] = (left[at] as number) + (right[at] as number);
}

/** Counts add exactly, modulo 2^64: target[i] += added[i]. */
export function addCounts(target: BigUint64Array, added: BigUint64Array): void {
  if (target.length !== added.length) throw new Error(`${added.length} counts added to ${target.length}`);
  for (let at = 0; at < target.length; at++) target[at] = (target[at] as bigint) + (added[at] as bigint);
}
