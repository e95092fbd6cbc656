// The mutants of `npm run mutants`: one fault each, and the test that must notice it. `from` stands exactly once in the compiled
// file. The first eight are those that the protocol's safety and the promise of equal bits rest on.

export interface Mutant {
  readonly name: string;
  /** Compiled file that gets the fault. */
  readonly file: string;
  readonly edits: readonly { readonly from: string; readonly to: string }[];
  readonly test: { readonly file: string; readonly title: string };
}

const mutant = (name: string, file: string, [from, to]: [string, string], test: Mutant["test"]): Mutant => ({
  name,
  file,
  edits: [{ from, to }],
  test,
});

const collective = (file: string) => `packages/collective/dist/${file}.js`;
const model = (file: string) => `packages/model/dist/${file}.js`;
const protocol = (file: string) => `packages/protocol/dist/${file}.js`;
const dataset = (file: string) => `packages/dataset/dist/${file}.js`;

export const mutants: readonly Mutant[] = [
  mutant(
    "reduction tree: two children swapped",
    protocol("reduction-tree"),
    [
      "{ first: node.first, end: middle },\n        { first: middle, end: node.end },",
      "{ first: middle, end: node.end },\n        { first: node.first, end: middle },",
    ],
    { file: protocol("reduction-tree.test"), title: "of 8 and of 6 micro-batches" },
  ),
  mutant(
    "sample order: one sample dropped, another taken twice",
    dataset("order"),
    ["indices[order[place]]", "indices[Math.max(1, order[place])]"],
    { file: dataset("order.test"), title: "an epoch uses each training sample exactly once, in an order of its own" },
  ),
  mutant(
    "collective: a request of an older generation is served",
    collective("peer-server"),
    ["if (compareBallots(wanted, this.#promised) < 0) {", "if (false) {"],
    {
      file: collective("peer-server.test"),
      title: "of an older generation than promised is refused, with the promised one",
    },
  ),
  mutant(
    "collective: a frame of an older generation is accepted",
    collective("generation"),
    ["compareBallots(a.ballot, b.ballot) === 0", "compareBallots(a.ballot, b.ballot) >= 0"],
    { file: collective("all-reduce.test"), title: "of an older generation are refused, naming the peer" },
  ),
  {
    name: "collective: a repeated partial is added twice",
    file: collective("position-exchange"),
    edits: [
      { from: "slot.arrived[slot.piece] === 1)", to: "false)" },
      { from: "payload !== undefined && slot.arrived[slot.piece] === 0", to: "payload !== undefined" },
    ],
    test: {
      file: collective("repeated.test"),
      title: "a partial that comes three times before the others is counted once",
    },
  },
  mutant(
    "partials: a repeated micro-batch is added twice",
    collective("partials"),
    ["if (leaf.sum !== undefined || isFolded(leaf))", "if (false)"],
    { file: collective("repeated.test"), title: "a micro-batch that is added three times does not stand for another" },
  ),
  mutant(
    "Adam: the sign of a step flipped",
    model("optimisers/adam"),
    ["parameter - (stepSize * first)", "parameter + (stepSize * first)"],
    { file: model("optimisers/optimiser.test"), title: "adam follows PyTorch for 50 steps" },
  ),
  mutant(
    "store: the incarnation is not raised at start",
    "services/coordinator/dist/store/database.js",
    ["SET value = value + 1", "SET value = value"],
    {
      file: "services/coordinator/dist/store/incarnation.test.js",
      title: "each opening of a store raises the incarnation, so that no generation's number comes twice",
    },
  ),
  mutant(
    "membership: no freeze before a plan",
    protocol("membership"),
    ["asked, answered: [], sinceMs: nowMs", "asked, answered: asked, sinceMs: nowMs"],
    { file: protocol("simulator/scenario.test"), title: "undisturbed.txt" },
  ),
  mutant(
    "collective: a member publishes before it has applied the position before",
    collective("all-reduce"),
    ["?.exchange.published !== undefined", "?.exchange !== undefined"],
    {
      file: collective("owner-gate.test"),
      title: "a member without work is heard only when it reduces the position itself",
    },
  ),
  mutant(
    "member: an older freeze is answered",
    protocol("member"),
    ["if (order < 0)\n        return note(state, `a freeze of", "if (false)\n        return note(state, `a freeze of"],
    { file: protocol("simulator/scenario.test"), title: "promises.txt" },
  ),
  mutant(
    "collective: a damaged frame is not noticed",
    "packages/rpc/dist/bulk-client.js",
    ["this.#checksum !== frame.crc32c", "false"],
    { file: collective("all-reduce.test"), title: "with a flipped bit are refused, naming the peer" },
  ),
  mutant(
    "reduction tree: halves instead of powers of two",
    protocol("reduction-tree"),
    [
      "node.first + largestPowerOfTwoBelow(node.end - node.first)",
      "node.first + Math.ceil((node.end - node.first) / 2)",
    ],
    {
      file: collective("partials.test"),
      title: "of all 6 micro-batches, added in any order, are the root of the tree",
    },
  ),
  mutant(
    "SGD: momentum left out of Nesterov's step",
    model("optimisers/sgd"),
    ["gradient + momentum * velocity", "gradient + velocity"],
    { file: model("optimisers/optimiser.test"), title: "sgd with nesterov follows PyTorch for 50 steps" },
  ),
  mutant(
    "update: the mean is taken over micro-batches instead of samples",
    model("update"),
    ["1 / reduced.samples", "1 / reduced.microBatches"],
    {
      file: model("update.test"),
      title: "an update steps by the mean gradient and moves running statistics by the mean over micro-batches",
    },
  ),
  mutant(
    "initialisation: all parameters drawn with one key",
    model("initialise"),
    ["initialisationDraws(seed, name)", 'initialisationDraws(seed, "")'],
    {
      file: model("initialise.test"),
      title: "parameters of one shape start with values of their own",
    },
  ),
  mutant(
    "augmentation: the same in every epoch",
    dataset("pixels/transforms/pipeline"),
    ["augmentationDraws(seed, epoch, sampleIndex)", "augmentationDraws(seed, 0, sampleIndex)"],
    {
      file: dataset("pixels/transforms/pipeline.test"),
      title: "what a sample becomes depends on seed, epoch and sample index, and on nothing that came before",
    },
  ),
  mutant(
    "dataset: a changed file is not noticed",
    dataset("file-check"),
    ["if (!hashed.sha256.equals(recordedHash(dataset.files, file)))", "if (false)"],
    {
      file: dataset("manifest.test"),
      title: "a check of files passes over a new time with the same content, and names a file that changed or is gone",
    },
  ),
  mutant(
    "sample hash: a sample's place does not count",
    "packages/random/dist/sample-hash.js",
    ["this.#counter[1] = position;", "this.#counter[1] = 0;"],
    {
      file: "packages/random/dist/sample-hash.test.js",
      title: "a sample dropped, repeated, exchanged or of another epoch changes the sum",
    },
  ),
  mutant(
    "accounting: a position that used other samples is not noticed",
    "services/coordinator/dist/accounting.js",
    ["&& record.sampleHash === expected.value", ""],
    {
      file: "services/coordinator/dist/accounting.test.js",
      title: "a position that used other samples than it had to is an alarm",
    },
  ),
  mutant(
    "dropout: the same mask at every position",
    "packages/engine/dist/dropout-mask.js",
    ["dropoutDraws(seed, position, microBatch, layer)", "dropoutDraws(seed, 0, microBatch, layer)"],
    {
      file: "packages/engine/dist/onnx/lanes.test.js",
      title: "dropout is a function of seed, position and micro-batch",
    },
  ),
  mutant(
    "plan: its hash does not cover its members",
    protocol("generation"),
    ["...plan.members.flatMap(memberWords),", ""],
    { file: protocol("generation.test"), title: "changes with every field of the plan" },
  ),
];
