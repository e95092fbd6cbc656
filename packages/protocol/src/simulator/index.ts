export { Cluster } from "./cluster.js";
export { runScenario } from "./scenario.js";
export type { ClusterOptions } from "./cluster.js";
