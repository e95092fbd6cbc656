export { logLevels, openLog } from "./log.js";
export type { Log, LogFields, LogLevel, LogOptions } from "./log.js";
