// torch.optim.SGD with dampening 0:
//   g = gradient + weightDecay * p
//   b = momentum * b + g          (b starts as zeros, so that the first b is g, as in PyTorch)
//   p = p - learningRate * (b, or with nesterov g + momentum * b)
// Rounded to float32: b and p, when they are stored. The step itself uses b as computed, in float64.

import type { OptimizerSpec } from "@lockstep/spec";
import type { Optimiser, OptimiserStep } from "./optimiser.js";

type SgdSpec = Extract<OptimizerSpec, { name: "sgd" }>;

export function sgd(spec: SgdSpec): Optimiser {
  if (spec.momentum === 0) {
    return { slotNames: [], scalarNames: [], step: (step) => plainStep(spec, step) };
  }
  return { slotNames: ["momentum_buffer"], scalarNames: [], step: (step) => momentumStep(spec, step) };
}

function plainStep({ learningRate, weightDecay }: SgdSpec, step: OptimiserStep): void {
  const { parameters, gradientSums, gradientScale } = step;
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i] as number;
    const mean = (gradientSums[i] as number) * gradientScale;
    const gradient = weightDecay === 0 ? mean : mean + weightDecay * parameter;
    parameters[i] = parameter - learningRate * gradient;
  }
}

function momentumStep({ learningRate, momentum, nesterov, weightDecay }: SgdSpec, step: OptimiserStep): void {
  const { parameters, gradientSums, gradientScale } = step;
  const buffer = step.slots[0] as Float32Array;
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i] as number;
    const mean = (gradientSums[i] as number) * gradientScale;
    const gradient = weightDecay === 0 ? mean : mean + weightDecay * parameter;
    const velocity = momentum * (buffer[i] as number) + gradient;
    buffer[i] = velocity;
    parameters[i] = parameter - learningRate * (nesterov ? gradient + momentum * velocity : velocity);
  }
}
