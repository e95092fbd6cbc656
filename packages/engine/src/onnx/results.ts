// What is read off a program's outputs, the same in every lane.

/** Added in float64, in sample order. */
export function sumLosses(losses: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < losses.length; i++) sum += losses[i] as number;
  return sum;
}

/**
 * Writes the class of each sample's largest logit to `predicted`, the first of equals, and counts those that are the label.
 * `logits` is [labels.length, classes].
 */
export function judgeLogits(logits: Float32Array, labels: Int32Array, predicted: Int32Array): number {
  const classes = logits.length / labels.length;
  let correct = 0;
  for (let sample = 0; sample < labels.length; sample++) {
    const first = sample * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((logits[first + c] as number) > (logits[first + best] as number)) best = c;
    }
    predicted[sample] = best;
    if (best === labels[sample]) correct++;
  }
  return correct;
}

/** Whether no element is infinite or not a number. Up to 2^895 elements. */
export function isFiniteVector(vector: Float32Array): boolean {
  // Finite float32 values cannot overflow a float64 sum, and one infinite or undefined value leaves none finite. Four sums, so
  // that additions need not wait for one another.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = vector.length - (vector.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += vector[i] as number;
    b += vector[i + 1] as number;
    c += vector[i + 2] as number;
    d += vector[i + 3] as number;
  }
  for (let i = whole; i < vector.length; i++) a += vector[i] as number;
  return Number.isFinite(a + b + c + d);
}
