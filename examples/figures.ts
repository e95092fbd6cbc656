/** The figures of the demo dataset: each tells whether a point lies inside, with the figure about 1 in radius around (0, 0). */
export type Figure = (x: number, y: number) => boolean;

type Point = readonly [number, number];

// Cosine and sine of 0, 36, 72, ... degrees: written out, so that every machine draws the same images.
const tenth: readonly Point[] = [
  [1, 0],
  [0.8090169943749475, 0.5877852522924731],
  [0.30901699437494745, 0.9510565162951535],
  [-0.30901699437494745, 0.9510565162951535],
  [-0.8090169943749475, 0.5877852522924731],
  [-1, 0],
  [-0.8090169943749475, -0.5877852522924731],
  [-0.30901699437494745, -0.9510565162951535],
  [0.30901699437494745, -0.9510565162951535],
  [0.8090169943749475, -0.5877852522924731],
];

const halfRootThree = 0.8660254037844386;

export const figures = {
  arrow: polygon([
    [1, 0],
    [0.15, 0.75],
    [0.15, 0.28],
    [-1, 0.28],
    [-1, -0.28],
    [0.15, -0.28],
    [0.15, -0.75],
  ]),
  circle: (x, y) => x * x + y * y < 0.8,
  crescent: (x, y) => x * x + y * y < 1 && (x - 0.5) * (x - 0.5) + y * y > 0.62,
  cross: (x, y) => (Math.abs(x) < 0.27 && Math.abs(y) < 0.95) || (Math.abs(y) < 0.27 && Math.abs(x) < 0.95),
  heart: (x, y) =>
    (x + 0.42) * (x + 0.42) + (y + 0.3) * (y + 0.3) < 0.23 ||
    (x - 0.42) * (x - 0.42) + (y + 0.3) * (y + 0.3) < 0.23 ||
    (y >= -0.3 && y < 0.95 && Math.abs(x) < 0.72 * (0.95 - y)),
  ring: (x, y) => x * x + y * y < 1 && x * x + y * y > 0.42,
  square: (x, y) => Math.abs(x) < 0.78 && Math.abs(y) < 0.78,
  star: polygon(tenth.map(([x, y], k) => (k % 2 === 0 ? [x, y] : [0.4 * x, 0.4 * y]))),
  triangle: polygon([
    [1, 0],
    [-0.5, halfRootThree],
    [-0.5, -halfRootThree],
  ]),
} as const satisfies Readonly<Record<string, Figure>>;

/** Inside by the even-odd rule: a ray from the point crosses an odd number of edges. */
function polygon(corners: readonly Point[]): Figure {
  return (x, y) => {
    let inside = false;
    let [fromX, fromY] = corners[corners.length - 1] as Point;
    for (const [toX, toY] of corners) {
      if (toY > y !== fromY > y && x < ((fromX - toX) * (y - toY)) / (fromY - toY) + toX) inside = !inside;
      [fromX, fromY] = [toX, toY];
    }
    return inside;
  };
}
