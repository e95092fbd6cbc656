// Bounds on what a job spec may hold: sizes that come from outside are checked before memory is taken for them.

/** A spec file or string; also its largest form on the wire. */
export const specBytesMax = 1024 * 1024;

/** YAML aliases expanded: enough for hand-written specs, far below what blows up memory. */
export const aliasesMax = 100;

export const layersMax = 1_000;
/** Filters of a convolution, units of a dense layer. */
export const layerWidthMax = 65_536;
/** Kernels and strides of a layer, in pixels. */
export const kernelMax = 64;
export const nameCharactersMax = 100;
export const imageSideMax = 4_096;
export const imageSideMin = 4;
export const epochsMax = 100_000;
export const batchSizeMax = 65_536;
export const microBatchesMax = 1_024;
export const workersMax = 1_024;
export const dataShardsMax = 256;
export const threadsMax = 4_096;
export const cacheMiBMax = 1024 * 1024;
export const cropPaddingMax = 64;
