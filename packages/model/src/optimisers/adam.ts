// torch.optim.Adam and torch.optim.AdamW (amsgrad off), for step t = 1, 2, ...:
//   adam:  g = gradient + weightDecay * p          adamw:  g = gradient, p = p * (1 - learningRate * weightDecay)
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   p = p - learningRate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
// beta^t is kept as a running product: a power function may differ between builds, a product does not.
// Rounded to float32: m, v and p, when they are stored. The step itself uses m and v as computed, in float64.

import type { OptimizerSpec } from "@lockstep/spec";
import type { Optimiser, OptimiserStep } from "./optimiser.js";

type AdamSpec = Extract<OptimizerSpec, { name: "adam" | "adamw" }>;

export function adam(spec: AdamSpec): Optimiser {
  return {
    slotNames: ["exp_avg", "exp_avg_sq"],
    scalarNames: ["beta1_power", "beta2_power"],
    step: (step) => adamStep(spec, step),
  };
}

function adamStep(spec: AdamSpec, step: OptimiserStep): void {
  const { parameters, gradientSums, gradientScale, scalars } = step;
  const firstMoment = step.slots[0] as Float32Array;
  const secondMoment = step.slots[1] as Float32Array;
  const { beta1, beta2, epsilon, learningRate, weightDecay } = spec;
  const beta1Power = (scalars[0] as number) * beta1;
  const beta2Power = (scalars[1] as number) * beta2;
  const stepSize = learningRate / (1 - beta1Power);
  const inverseRoot = 1 / Math.sqrt(1 - beta2Power);
  const isDecoupled = spec.name === "adamw";
  const shrink = isDecoupled ? 1 - learningRate * weightDecay : 1;
  const coupledDecay = isDecoupled ? 0 : weightDecay;

  for (let i = 0; i < parameters.length; i++) {
    const parameter = (parameters[i] as number) * shrink;
    const mean = (gradientSums[i] as number) * gradientScale;
    const gradient = coupledDecay === 0 ? mean : mean + coupledDecay * parameter;
    const first = beta1 * (firstMoment[i] as number) + (1 - beta1) * gradient;
    const second = beta2 * (secondMoment[i] as number) + (1 - beta2) * gradient * gradient;
    firstMoment[i] = first;
    secondMoment[i] = second;
    parameters[i] = parameter - (stepSize * first) / (Math.sqrt(second) * inverseRoot + epsilon);
  }
  scalars[0] = beta1Power;
  scalars[1] = beta2Power;
}
