/** The known name that was probably meant by `found`, or undefined where none is near: a third of its letters may differ. */
export function suggestion(found: string, known: readonly string[]): string | undefined {
  const wanted = simplified(found);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of known) {
    const distance = editDistance(wanted, simplified(name));
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  const allowed = Math.max(1, Math.floor(Math.min(wanted.length, 30) / 3));
  return bestDistance <= allowed ? best : undefined;
}

/** "learning_rate" and "learning-rate" mean learningRate. */
const simplified = (name: string) => name.slice(0, 60).toLowerCase().replace(/[-_ ]/g, "");

/** Letters inserted, left out, replaced or swapped with a neighbour to turn one word into the other. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(replaced, at(last, j) + 1, at(row, j - 1) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, at(beforeLast, j - 2) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

const at = (row: readonly number[], index: number) => row[index] ?? Infinity;
