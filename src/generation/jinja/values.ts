// What a template computes with, as Python has it: int is bigint and float is number, so that 1 and 1.0 stay apart; dict is
// a Map, which keeps its keys in order even where they are digits. Nothing is changed once it is made.

import { countCharacters } from '../../base/portable.js';
import { failure, unsupported } from './problem.js';

export type Value =
  | string
  | bigint
  | number
  | boolean
  | null
  | readonly Value[]
  | Dict
  | Tuple
  | Undefined
  | View
  | Stream
  | Callable
  | Namespace;

export type Key = string | bigint | boolean | null;
export type Dict = ReadonlyMap<Key, Value>;

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** What there is not; `what` says so, where something is made of it. */
export class Undefined {
  readonly what: string;
  constructor(what: string) {
    this.what = what;
  }
}

/** dict.keys(), dict.values(), dict.items(), range(): has a length and can be gone through again. */
export class View {
  readonly name: 'dict_keys' | 'dict_values' | 'dict_items' | 'range';
  readonly items: readonly Value[];
  constructor(name: View['name'], items: readonly Value[]) {
    this.name = name;
    this.items = items;
  }
}

/** What filters such as map and select give: can be gone through once, has no length. */
export class Stream {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
}

export type Named = ReadonlyMap<string, Value>;

export class Callable {
  readonly name: string;
  readonly call: (args: readonly Value[], named: Named) => Value;
  constructor(name: string, call: Callable['call']) {
    this.name = name;
    this.call = call;
  }
}

/** namespace(), and `loop`: attributes alone. */
export class Namespace {
  readonly kind: 'Namespace' | 'LoopContext';
  readonly get: (name: string) => Value | undefined;
  readonly set: (name: string, value: Value) => void;

  constructor(kind: Namespace['kind'], get: Namespace['get'], set: Namespace['set']) {
    this.kind = kind;
    this.get = get;
    this.set = set;
  }
}

export const isList = (value: Value): value is readonly Value[] => Array.isArray(value);
export const isDict = (value: Value): value is Dict => value instanceof Map;
export const isNumber = (value: Value): value is bigint | number | boolean =>
  typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean';

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (isList(value)) return 'list';
  if (isDict(value)) return 'dict';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof View) return value.name;
  if (value instanceof Stream) return 'generator';
  if (value instanceof Callable) return 'function';
  if (value instanceof Namespace) return value.kind;
  return { string: 'str', bigint: 'int', number: 'float', boolean: 'bool' }[typeof value as 'string'] as string;
}

/** Throws where something is made of what there is not. */
export function requireDefined<T extends Value>(value: T): Exclude<T, Undefined> {
  if (value instanceof Undefined) throw failure(value.what);
  return value as Exclude<T, Undefined>;
}

export function isTrue(value: Value): boolean {
  if (value instanceof Undefined || value === null) return false;
  if (isList(value)) return value.length > 0;
  if (isDict(value)) return value.size > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Stream || value instanceof Callable || value instanceof Namespace) return true;
  return Boolean(value);
}

/** The things in a value, one after another; undefined where it is no iterable. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  if (typeof value === 'string') return [...value];
  if (isList(value)) return value;
  if (isDict(value)) return [...value.keys()];
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Stream) return value.take();
  return value instanceof Undefined ? [] : undefined;
}

export function iterate(value: Value): readonly Value[] {
  const items = itemsOf(value);
  if (items === undefined) throw failure(`'${typeName(value)}' object is not iterable`);
  return items;
}

export function lengthOf(value: Value): bigint {
  if (typeof value === 'string') return BigInt(countCharacters(value));
  if (isList(value)) return BigInt(value.length);
  if (isDict(value)) return BigInt(value.size);
  if (value instanceof Tuple || value instanceof View) return BigInt(value.items.length);
  if (value instanceof Undefined) return 0n;
  throw failure(`object of type '${typeName(value)}' has no len()`);
}

/** A dict's key. */
export function keyOf(value: Value): Key {
  if (typeof value === 'string' || typeof value === 'bigint' || value === null) return value;
  if (typeof value === 'boolean') return BigInt(value); // True and 1 are one key
  if (isList(value) || isDict(value)) throw failure(`unhashable type: '${typeName(value)}'`);
  throw unsupported(`a dict's key that is a ${typeName(value)}`);
}

const numeric = (value: bigint | number | boolean): bigint | number =>
  typeof value === 'boolean' ? BigInt(value) : value;

/** `a == b` */
export function equals(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return compare(a, b) === 0 && !Number.isNaN(Number(a) + Number(b));
  if (isList(a) && isList(b)) return equalItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items);
  if (a instanceof View && b instanceof View) throw unsupported(`a comparison of ${a.name}`);
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (!isDict(a) || !isDict(b)) return a === b;
  return a.size === b.size && [...a].every(([key, value]) => b.has(key) && equals(value, b.get(key)!));
}

const equalItems = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((one, i) => equals(one, b[i]!));

/** Less than 0 where a comes before b, as Python orders numbers, text and lists. */
export function compare(a: Value, b: Value, operator = '<'): number {
  requireDefined(a);
  requireDefined(b);
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [numeric(a), numeric(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (typeof a === 'string' && typeof b === 'string') return compareItems([...a].map(codeOf), [...b].map(codeOf));
  if (isList(a) && isList(b)) return compareItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return compareItems(a.items, b.items);
  throw failure(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

const codeOf = (character: string): number => character.codePointAt(0)!;

function compareItems(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (!equals(a[i]!, b[i]!)) return compare(a[i]!, b[i]!);
  }
  return a.length - b.length;
}

/** `a in b` */
export function contains(b: Value, a: Value): boolean {
  if (typeof b === 'string') {
    if (typeof requireDefined(a) === 'string') return b.includes(a as string);
    throw failure(`'in <string>' requires string as left operand, not ${typeName(a)}`);
  }
  if (isDict(b)) return a instanceof Undefined ? false : b.has(keyOf(a));
  const items = itemsOf(b);
  if (items === undefined) throw failure(`argument of type '${typeName(b)}' is not iterable`);
  return items.some((one) => equals(one, a));
}
