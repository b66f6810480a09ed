// `a.b`, `a[b]` and `a[b:c]` as Jinja2's sandbox finds them: `a.b` is Python's attribute before it is a key, `a[b]` the other
// way round, and what there is not is undefined. Attributes that Python has and this code does not are refused by name.

import { failure, unsupported } from './problem.js';
import { STRING_METHODS } from './strings.js';
import {
  Callable,
  type Dict,
  equals,
  isDict,
  isList,
  isNumber,
  keyOf,
  lengthOf,
  type Named,
  Namespace,
  requireDefined,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

type Method<T> = (self: T, args: readonly Value[], named: Named) => Value;

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  copy: (dict) => dict,
  get: (dict, [given, preset = null]) => {
    const key = keyOf(requireDefined(given ?? null));
    return dict.has(key) ? dict.get(key)! : preset;
  },
  items: (dict) =>
    new View(
      'dict_items',
      [...dict].map((pair) => new Tuple(pair)),
    ),
  keys: (dict) => new View('dict_keys', [...dict.keys()]),
  values: (dict) => new View('dict_values', [...dict.values()]),
};

const LIST_METHODS: Readonly<Record<string, Method<readonly Value[]>>> = {
  count: (list, [value]) => BigInt(list.filter((one) => equals(one, value ?? null)).length),
  index: (list, [value, ...more]) => {
    if (more.length > 0) throw unsupported('list.index from a place on');
    const at = list.findIndex((one) => equals(one, value ?? null));
    if (at < 0) throw failure('the value is not in the list');
    return BigInt(at);
  },
};

/** Further attributes of Python's types; the second of a type change it, which the sandbox does not let them. */
const ELSEWHERE: Readonly<Record<string, readonly [string, string]>> = {
  str: [
    'casefold center encode expandtabs format format_map isalnum isascii isdecimal isidentifier isnumeric isprintable istitle ljust maketrans rjust swapcase translate zfill',
    '',
  ],
  list: ['copy', 'append clear extend insert pop remove reverse sort'],
  tuple: ['', ''],
  dict: ['fromkeys', 'clear pop popitem setdefault update'],
  int: [
    'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes',
    '',
  ],
  bool: [
    'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes',
    '',
  ],
  float: ['as_integer_ratio conjugate from_number fromhex hex imag is_integer real', ''],
  dict_keys: ['isdisjoint mapping', ''],
  dict_items: ['isdisjoint mapping', ''],
  dict_values: ['mapping', ''],
  range: ['count index start step stop', ''],
  generator: ['close gi_code gi_frame gi_running gi_suspended gi_yieldfrom send throw', ''],
};

/** Python's own attribute of that name; undefined where there is none. */
function attributeOf(object: Value, name: string): Value | undefined {
  if (object instanceof Namespace) return object.get(name);
  const type = typeName(object);
  if (name.startsWith('__')) throw unsupported(`the attribute ${name}`);
  const bind = <T extends Value>(self: T, methods: Readonly<Record<string, Method<T>>>): Callable | undefined => {
    const method = Object.hasOwn(methods, name) ? methods[name]! : undefined;
    return method && new Callable(`${type}.${name}`, (args, named) => method(self, args, named));
  };
  let found: Callable | undefined;
  if (typeof object === 'string') found = bind(object, STRING_METHODS);
  else if (isDict(object)) found = bind(object, DICT_METHODS);
  else if (isList(object)) found = bind(object, LIST_METHODS);
  else if (object instanceof Tuple) found = bind(object.items, LIST_METHODS);
  if (found) return found;
  const [others = '', changing = ''] = ELSEWHERE[type] ?? [];
  if (changing.split(' ').includes(name)) throw failure(`access to attribute '${name}' of '${type}' object is unsafe`);
  if (others !== '' && others.split(' ').includes(name)) throw unsupported(`${type}.${name}`);
  if (object instanceof Callable) throw unsupported(`the attribute ${name} of a macro or function`);
  return undefined;
}

/** What Python's own `object[key]` is; undefined where it raises. */
function itemOf(object: Value, key: Value): Value | undefined {
  if (isDict(object)) {
    const isNoKey = key instanceof Undefined || isList(key) || isDict(key);
    return isNoKey ? undefined : object.get(keyOf(key));
  }
  const items = isList(object)
    ? object
    : object instanceof Tuple || (object instanceof View && object.name === 'range')
      ? object.items
      : typeof object === 'string'
        ? [...object]
        : undefined;
  if (!items || (typeof key !== 'bigint' && typeof key !== 'boolean')) return undefined;
  return items.at(Number(key));
}

const missing = (object: Value, name: string): Undefined =>
  new Undefined(
    object === null || isNumber(object)
      ? `'${represent(object)}' has no attribute '${name}'`
      : `'${typeName(object)} object' has no attribute '${name}'`,
  );
const represent = (value: Value): string => (value === null ? 'None' : String(value));

/** `object.name` */
export function getAttribute(object: Value, name: string): Value {
  const self = requireDefined(object);
  for (const found of [attributeOf(self, name), itemOf(self, name)]) if (found !== undefined) return found;
  return missing(self, name);
}

/** `object[key]` */
export function getItem(object: Value, key: Value): Value {
  const self = requireDefined(object);
  const found = itemOf(self, key);
  if (found !== undefined) return found;
  if (typeof key === 'string') {
    const attribute = attributeOf(self, key);
    return attribute === undefined ? missing(self, key) : attribute;
  }
  return new Undefined(
    `'${typeName(self)} object' has no element ${key instanceof Undefined ? 'Undefined' : represent(key)}`,
  );
}

/** `object[start:stop:step]` */
export function getSlice(object: Value, parts: readonly (Value | undefined)[]): Value {
  const self = requireDefined(object);
  const [start, stop, step = 1] = parts.map((part) => {
    if (part === undefined || part === null) return undefined;
    if (typeof part === 'bigint' || typeof part === 'boolean') return Number(part);
    throw failure('slice indices must be integers or None');
  });
  if (step === 0) throw failure('slice step cannot be zero');
  const items = typeof self === 'string' ? [...self] : self instanceof Tuple ? self.items : self;
  if (!isList(items)) throw failure(`'${typeName(self)}' object has no slices`);
  const count = Number(lengthOf(items));
  const [low, high] = step > 0 ? [0, count] : [-1, count - 1];
  const place = (at: number | undefined, preset: number): number =>
    at === undefined ? preset : Math.min(high, Math.max(low, at < 0 ? at + count : at));
  const [from, to] = step > 0 ? [place(start, 0), place(stop, count)] : [place(start, count - 1), place(stop, -1)];
  const taken: Value[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) taken.push(items[i]!);
  if (typeof self === 'string') return taken.join('');
  return self instanceof Tuple ? new Tuple(taken) : taken;
}
