export { logLevels, openLog } from "./log.js";
export type { Log, LogLevel, LogOptions } from "./log.js";
