export { augmentationDraws, dropoutDraws, initialisationDraws, orderDraws, splitDraws } from "./keys.js";
export { permutation } from "./permutation.js";
export { philox4x32 } from "./philox.js";
export { SampleHashSum } from "./sample-hash.js";
export type { Draws } from "./draws.js";
