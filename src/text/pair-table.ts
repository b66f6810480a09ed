// A map from pairs of whole numbers to a whole number, in flat arrays. A Map with a combined key is several times slower
// and larger. Open addressing, at most half full.

const EMPTY = -1;

export interface PairTable {
  /** The value of a pair; -1 where it has none. Numbers and values are at least 0. */
  get(a: number, b: number): number;
  set(a: number, b: number, value: number): void;
}

/** A table that grows; `expected` pairs fit without growing. */
export function createPairTable(expected: number): PairTable {
  let mask = 0;
  let size = 0;
  let [as, bs, values] = [new Int32Array(), new Int32Array(), new Int32Array()];
  const allocate = (capacity: number): void => {
    mask = capacity - 1;
    as = new Int32Array(capacity).fill(EMPTY);
    bs = new Int32Array(capacity);
    values = new Int32Array(capacity);
  };
  /** The slot of a pair, or the one it would get. */
  const slot = (a: number, b: number): number => {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
    hash ^= hash >>> 15;
    let at = hash & mask;
    while (as[at] !== EMPTY && (as[at] !== a || bs[at] !== b)) at = (at + 1) & mask;
    return at;
  };
  const set = (a: number, b: number, value: number): void => {
    const at = slot(a, b);
    if (as[at] === EMPTY) size++;
    as[at] = a;
    bs[at] = b;
    values[at] = value;
    if (2 * size > mask) grow();
  };
  const grow = (): void => {
    const [oldA, oldB, oldValues] = [as, bs, values];
    allocate(2 * (mask + 1));
    size = 0;
    for (let i = 0; i < oldA.length; i++) if (oldA[i] !== EMPTY) set(oldA[i]!, oldB[i]!, oldValues[i]!);
  };
  allocate(2 ** Math.ceil(Math.log2(2 * expected + 16)));
  return {
    set,
    get(a, b) {
      const at = slot(a, b);
      return as[at] === EMPTY ? -1 : values[at]!;
    },
  };
}
