// What the models of tokenizer.json have in common.

/** Token ids, one after the other. */
export interface Ids {
  push(id: number): void;
  all(): Int32Array;
}

export interface TokenModel {
  /** The ids of words. */
  readonly words: ReadonlyMap<string, number>;
  /** The word of each id. */
  readonly spelling: ReadonlyMap<number, string>;
  encode(piece: string, ids: Ids): void;
}

export function createIds(): Ids {
  let ids = new Int32Array(1024);
  let length = 0;
  return {
    push(id) {
      if (length === ids.length) {
        const larger = new Int32Array(2 * length);
        larger.set(ids);
        ids = larger;
      }
      ids[length++] = id;
    },
    all: () => ids.slice(0, length),
  };
}
