// The only place that composes keys. A draw is a function of (purpose, seed, name) through Philox's 64-bit key and of three
// words (epoch, sample index, position, ...) through its counter, and of nothing else: not of call order, cluster or time.
//
//   draws          key = digest of               counter words 1, 2, 3 (word 0 counts blocks)
//   order          (1, seed)                     epoch, 0, 0
//   augmentation   (2, seed)                     epoch, sample index, 0
//   dropout        (3, seed, layer's name)       position's low word, position's high word, micro-batch
//   initialisation (4, seed, parameter's name)   0, 0, 0
//   split          (5, seed, class's name)       0, 0, 0
//
// The digest chains Philox itself: each 128-bit block of the message is enciphered under the digest so far, and two words of
// the result are the next digest. The message starts with purpose, seed and name length, so that no two of them are alike;
// two different ones share a 64-bit key with probability 2^-64.

import { type Draws, PhiloxDraws } from "./draws.js";
import { philox4x32 } from "./philox.js";

type Key = readonly [number, number];

const purposes = { order: 1, augmentation: 2, dropout: 3, initialisation: 4, split: 5 } as const;
type Purpose = keyof typeof purposes;

/** Sample order of one epoch. */
export function orderDraws(seed: number, epoch: number): Draws {
  return new PhiloxDraws(keyOf("order", seed), [word("epoch", epoch), 0, 0]);
}

/** Augmentation of one sample in one epoch: the same wherever, whenever and in whichever batch it is decoded. */
export function augmentationDraws(seed: number, epoch: number, sampleIndex: number): Draws {
  return new PhiloxDraws(keyOf("augmentation", seed), [word("epoch", epoch), word("sample index", sampleIndex), 0]);
}

/** Dropout mask of one layer for one micro-batch of one position; positions up to 2^53-1. */
export function dropoutDraws(seed: number, position: number, microBatch: number, layerName: string): Draws {
  const place = wholeNumber("position", position);
  return new PhiloxDraws(keyOf("dropout", seed, layerName), [
    place % 2 ** 32,
    Math.floor(place / 2 ** 32),
    word("micro-batch", microBatch),
  ]);
}

/** First values of one parameter. */
export function initialisationDraws(seed: number, parameterName: string): Draws {
  return new PhiloxDraws(keyOf("initialisation", seed, parameterName), [0, 0, 0]);
}

/** Order in which one class's samples are dealt to training, validation and test. */
export function splitDraws(splitSeed: number, className: string): Draws {
  return new PhiloxDraws(keyOf("split", splitSeed, className), [0, 0, 0]);
}

function keyOf(purpose: Purpose, seed: number, name = ""): Key {
  const whole = wholeNumber("seed", seed);
  const digest = new Uint32Array(4);
  philox4x32([purposes[purpose], whole % 2 ** 32, Math.floor(whole / 2 ** 32), name.length], [0, 0], digest);
  // UTF-16 code units, two a word, eight a block; the last block is filled up with zeros.
  for (let first = 0; first < name.length; first += 8) {
    const block = [0, 2, 4, 6].map((unit) => codeUnit(name, first + unit) + codeUnit(name, first + unit + 1) * 0x10000);
    philox4x32(block, [digest[0] as number, digest[1] as number], digest);
  }
  return [digest[0] as number, digest[1] as number];
}

function codeUnit(name: string, index: number): number {
  return index < name.length ? name.charCodeAt(index) : 0;
}

function wholeNumber(what: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`${what} ${value} is not a whole number from 0 to 2^53-1`);
  return value;
}

function word(what: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new Error(`${what} ${value} is not a whole number below 2^32`);
  }
  return value;
}
