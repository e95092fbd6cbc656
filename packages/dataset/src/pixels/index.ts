export { decodeImage, pixelIdentity } from "./decode.js";
export { PixelReader } from "./reader.js";
export { pixelSettings } from "./settings.js";
export type { ChannelSums } from "./channel-sums.js";
export type { PixelReaderOptions, SampleUse } from "./reader.js";
export type { PixelSettings, PixelShape } from "./settings.js";
