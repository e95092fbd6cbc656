/** [channels, height, width] of one sample, or [features]; for tensors of layers, PyTorch's order. No batch axis. */
export type Shape = readonly number[];

/** Values in a tensor of this shape. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** "[16, 32, 32]" */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
