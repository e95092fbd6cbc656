/**
 * Reads the pickles of CIFAR's Python batches, and nothing else. A pickle is a program for a stack machine that can call any
 * function by name; this machine knows the opcodes that those files use (protocol 2, as Python 2 and 3 write it), builds only
 * numbers, strings, lists, tuples and dictionaries, and of all functions only three that rebuild a NumPy array of uint8
 * and one that turns text into bytes, each done here. Anything else is refused by name before it has any effect.
 *
 * Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */

/** A NumPy array of uint8, in C order. */
export interface ByteArray {
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Byte strings and text alike come as text of one character a byte (latin-1); dictionaries as maps. */
export type PickledValue =
  null | boolean | number | string | ByteArray | readonly PickledValue[] | ReadonlyMap<string, PickledValue>;

/** A batch has 10,000 or 50,000 labels and names: more items than this, through sharing too, means another kind of file. */
const itemsMax = 1_000_000;

/** A batch has one. */
const arraysMax = 4;

/** What may stand on the stack while the program runs. */
type Item =
  null | boolean | number | string | Item[] | Tuple | Map<string, Item> | NamedFunction | Dtype | ArrayUnderWay | Mark;
interface Tuple {
  readonly kind: "tuple";
  readonly items: readonly Item[];
}
interface NamedFunction {
  readonly kind: "function";
  readonly does: "reconstruct" | "ndarray" | "dtype" | "encode";
}
interface Dtype {
  readonly kind: "dtype";
}
interface ArrayUnderWay {
  readonly kind: "array";
  shape: readonly number[] | undefined;
  bytes: Uint8Array | undefined;
}
interface Mark {
  readonly kind: "mark";
}

const functions: Readonly<Record<string, NamedFunction["does"]>> = {
  "numpy.core.multiarray _reconstruct": "reconstruct",
  "numpy._core.multiarray _reconstruct": "reconstruct", // NumPy 2
  "numpy ndarray": "ndarray",
  "numpy dtype": "dtype",
  "_codecs encode": "encode", // how Python 3 writes bytes under protocol 2
};

/** @throws Error in one sentence, when the bytes are no such pickle */
export function readPickle(bytes: Uint8Array): PickledValue {
  const machine = new PickleMachine(bytes);
  return plain(machine.run(), 0, { left: itemsMax });
}

class PickleMachine {
  readonly #bytes: Buffer;
  #at = 0;
  readonly #stack: Item[] = [];
  readonly #memo = new Map<number, Item>();
  #arrays = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): Item {
    for (;;) {
      const opcode = this.#uint8();
      if (opcode === 0x2e) return this.#pop(); // STOP
      this.#step(opcode);
      if (this.#stack.length > itemsMax) throw new Error("the pickle is larger than a CIFAR batch");
    }
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        return this.#requireProtocol(this.#uint8());
      case 0x28: // MARK
        return this.#push({ kind: "mark" });
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4b: // BININT1
        return this.#push(this.#uint8());
      case 0x4d: // BININT2
        return this.#push(this.#take(2).readUInt16LE());
      case 0x4a: // BININT
        return this.#push(this.#take(4).readInt32LE());
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#take(this.#uint8()).toString("latin1"));
      case 0x54: // BINSTRING
        return this.#push(this.#take(this.#take(4).readUInt32LE()).toString("latin1"));
      case 0x58: // BINUNICODE
        return this.#push(this.#take(this.#take(4).readUInt32LE()).toString("utf8"));
      case 0x71: // BINPUT
        return void this.#memo.set(this.#uint8(), this.#top());
      case 0x72: // LONG_BINPUT
        return void this.#memo.set(this.#take(4).readUInt32LE(), this.#top());
      case 0x68: // BINGET
        return this.#push(this.#remembered(this.#uint8()));
      case 0x6a: // LONG_BINGET
        return this.#push(this.#remembered(this.#take(4).readUInt32LE()));
      default:
        return this.#build(opcode);
    }
  }

  /** The opcodes that make containers and arrays of what lies on the stack. */
  #build(opcode: number): void {
    switch (opcode) {
      case 0x7d: // EMPTY_DICT
        return this.#push(new Map());
      case 0x5d: // EMPTY_LIST
        return this.#push([]);
      case 0x29: // EMPTY_TUPLE
        return this.#push({ kind: "tuple", items: [] });
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push({ kind: "tuple", items: this.#popMany(opcode - 0x84) });
      case 0x74: // TUPLE
        return this.#push({ kind: "tuple", items: this.#popToMark() });
      case 0x61: // APPEND
        return this.#append([this.#pop()]);
      case 0x65: // APPENDS
        return this.#append(this.#popToMark());
      case 0x73: // SETITEM
        return this.#setItems(this.#popMany(2));
      case 0x75: // SETITEMS
        return this.#setItems(this.#popToMark());
      case 0x63: // GLOBAL
        return this.#push(namedFunction(`${this.#line()} ${this.#line()}`));
      case 0x52: // REDUCE
        return this.#push(called(this.#popMany(2)));
      case 0x62: // BUILD
        return this.#fill(this.#pop());
      default:
        throw new Error(`the pickle uses opcode 0x${opcode.toString(16)}, which CIFAR's batches do not`);
    }
  }

  #fill(state: Item): void {
    const target = this.#top();
    const items = isTuple(state) ? state.items : [];
    if (isKind(target, "dtype")) return requireBytesInOrder(items);
    if (!isKind(target, "array")) throw new Error("the pickle gives a state to what is no NumPy array");
    const [, shape, dtype, fortran, data] = items;
    const sides = isTuple(shape) ? shape.items : [];
    const whole = sides.every((side): side is number => Number.isInteger(side) && (side as number) >= 0);
    if (!whole || !isKind(dtype, "dtype") || fortran !== false || typeof data !== "string") {
      throw new Error("the pickle holds a NumPy array that is not uint8 in C order");
    }
    const count = sides.reduce((product, side) => product * side, 1);
    if (count !== data.length) throw new Error(`the pickle holds ${data.length} bytes for an array of ${count}`);
    if (++this.#arrays > arraysMax) throw new Error("the pickle is larger than a CIFAR batch");
    target.shape = sides;
    target.bytes = Buffer.from(data, "latin1");
  }

  #append(items: readonly Item[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) throw new Error("the pickle appends to what is no list");
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly Item[]): void {
    const map = this.#top();
    if (!(map instanceof Map) || items.length % 2 !== 0)
      throw new Error("the pickle sets items of what is no dictionary");
    for (let k = 0; k < items.length; k += 2) {
      const key = items[k];
      if (typeof key !== "string") throw new Error("the pickle has a dictionary key that is no string");
      map.set(key, items[k + 1] as Item);
    }
  }

  #requireProtocol(protocol: number): void {
    if (protocol !== 2) throw new Error(`the pickle has protocol ${protocol}; CIFAR's batches have 2`);
  }

  #uint8(): number {
    return this.#take(1)[0] as number;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error("the pickle is cut short");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > 200) throw new Error("the pickle is cut short");
    const line = this.#bytes.toString("latin1", this.#at, end);
    this.#at = end + 1;
    return line;
  }

  #push(item: Item): void {
    this.#stack.push(item);
  }

  #top(): Item {
    const item = this.#stack.at(-1);
    if (item === undefined || isKind(item, "mark")) throw new Error("the pickle takes more than it has put down");
    return item;
  }

  #pop(): Item {
    const item = this.#top();
    this.#stack.pop();
    return item;
  }

  #popMany(count: number): Item[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  #popToMark(): Item[] {
    const mark = this.#stack.findLastIndex((item) => isKind(item, "mark"));
    if (mark < 0) throw new Error("the pickle takes more than it has put down");
    const items = this.#stack.splice(mark);
    items.shift();
    return items;
  }

  #remembered(key: number): Item {
    const item = this.#memo.get(key);
    if (item === undefined) throw new Error(`the pickle recalls entry ${key}, which it never stored`);
    return item;
  }
}

function namedFunction(name: string): NamedFunction {
  const does = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (does === undefined) throw new Error(`the pickle names ${name}, which CIFAR's batches do not`);
  return { kind: "function", does };
}

/** The result of one of the known functions; what NumPy would compute is only checked and noted here. */
function called([callee, parameters]: readonly Item[]): Item {
  const items = isTuple(parameters) ? parameters.items : [];
  const [first, second] = items;
  switch (isKind(callee, "function") ? callee.does : undefined) {
    case "reconstruct":
      if (!isKind(first, "function") || first.does !== "ndarray") break;
      return { kind: "array", shape: undefined, bytes: undefined };
    case "dtype":
      if (first !== "u1") throw new Error(`the pickle holds a NumPy array of ${JSON.stringify(first)}, not of uint8`);
      return { kind: "dtype" };
    case "encode":
      if (typeof first !== "string" || second !== "latin1") break;
      return first;
    case "ndarray":
    case undefined:
      break;
  }
  throw new Error("the pickle calls a function in a way that CIFAR's batches do not");
}

/** State of dtype "u1": (version, byte order "|", ...): nothing to keep. */
function requireBytesInOrder(state: readonly Item[]): void {
  if (state[1] !== "|") throw new Error("the pickle holds a NumPy type that is not plain uint8");
}

function isKind<Kind extends "tuple" | "function" | "dtype" | "array" | "mark">(
  item: Item | undefined,
  kind: Kind,
): item is Extract<Item, { readonly kind: Kind }> {
  return typeof item === "object" && item !== null && "kind" in item && item.kind === kind;
}

function isTuple(item: Item | undefined): item is Tuple {
  return isKind(item, "tuple");
}

/** The finished value without the machine's own kinds. Depth and size are bounded: a list can hold itself, or one list often. */
function plain(item: Item, depth: number, items: { left: number }): PickledValue {
  if (depth > 8 || items.left-- <= 0) throw new Error("the pickle is larger or nested deeper than a CIFAR batch");
  const inside = (inner: Item) => plain(inner, depth + 1, items);
  if (item === null || typeof item !== "object") return item;
  if (Array.isArray(item)) return item.map(inside);
  if (item instanceof Map) return new Map([...item].map(([key, value]) => [key, inside(value)]));
  if (isTuple(item)) return item.items.map(inside);
  if (isKind(item, "array") && item.shape !== undefined && item.bytes !== undefined) {
    return { shape: item.shape, bytes: item.bytes };
  }
  throw new Error("the pickle ends in something that is no value");
}
