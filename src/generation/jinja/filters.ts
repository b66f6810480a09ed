// Jinja2's filters and tests that templates use, with its defaults; `tojson` is transformers'. The others are refused by name.

import { getItem } from './access.js';
import { operate } from './operators.js';
import { failure, unsupported } from './problem.js';
import { dumpJson, show } from './show.js';
import { capitalise, formatPercent, isLower, isUpper, replace, splitLines, strip } from './strings.js';
import {
  Callable,
  compare,
  contains,
  equals,
  isDict,
  isList,
  isNumber,
  isTrue,
  itemsOf,
  iterate,
  lengthOf,
  type Named,
  requireDefined,
  Stream,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

type Filter = (value: Value, args: readonly Value[], named: Named) => Value;

/** Arguments by their names in Jinja2; an unknown name or one too many is refused as there. */
function take<const N extends string>(
  names: readonly N[],
  args: readonly Value[],
  named: Named,
): Partial<Record<N, Value>> {
  if (args.length > names.length) throw failure(`takes at most ${names.length} arguments`);
  const taken: Partial<Record<N, Value>> = {};
  for (const [i, value] of args.entries()) taken[names[i]!] = value;
  for (const [name, value] of named) {
    if (!(names as readonly string[]).includes(name) || name in taken) {
      throw failure(`got an unexpected keyword argument '${name}'`);
    }
    taken[name as N] = value;
  }
  return taken;
}

const wholeNumber = (value: Value | undefined, preset: number, what: string): number => {
  if (value === undefined) return preset;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw failure(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
};

/** What an `attribute` argument finds: names and numbers with dots between. */
function getter(attribute: Value | undefined, preset?: Value): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return (item) => item;
  const parts = typeof attribute === 'string' ? attribute.split('.').map(partOf) : [attribute];
  return (item) => {
    let found = item;
    for (const part of parts) {
      found = getItem(found, part);
      if (found instanceof Undefined && preset !== undefined) found = preset;
    }
    return found;
  };
}

const partOf = (part: string): Value => (/^\d+$/.test(part) ? BigInt(part) : part);
const fold =
  (isCaseSensitive: boolean) =>
  (value: Value): Value =>
    typeof value === 'string' && !isCaseSensitive ? value.toLowerCase() : value;

function sorted(items: readonly Value[], keyOf: (item: Value) => Value, reverse: boolean): Value[] {
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

const extreme =
  (name: 'min' | 'max'): Filter =>
  (value, args, named) => {
    const { case_sensitive, attribute } = take(['case_sensitive', 'attribute'], args, named);
    const items = iterate(value);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const key = getter(attribute);
    const of = (item: Value): Value => fold(isTrue(case_sensitive ?? false))(key(item));
    return items.reduce((best, item) => {
      const order = compare(of(item), of(best));
      return (name === 'min' ? order < 0 : order > 0) ? item : best;
    });
  };

/** select, reject, selectattr, rejectattr: by a test of each item, or whether it is true. */
const choosing =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, args, named) => {
    if (!isTrue(value)) return new Stream([]); // none and 0 too: nothing is gone through
    const rest = byAttribute ? args.slice(1) : args;
    if (byAttribute && args.length === 0) throw failure('missing 1 required positional argument: attribute');
    const of = byAttribute ? getter(args[0]) : (item: Value): Value => item;
    const [name, ...more] = rest;
    const passes = (item: Value): boolean =>
      name === undefined ? isTrue(of(item)) : applyTest(show(name), of(item), more, named);
    return new Stream(iterate(value).filter((item) => passes(item) === wanted));
  };

const length: Filter = (value) => lengthOf(value);
const preset: Filter = (value, args, named) => {
  const { default_value = '', boolean = false } = take(['default_value', 'boolean'], args, named);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? default_value : value;
};

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    if (!isNumber(value)) throw failure(`bad operand type for abs(): '${typeName(value)}'`);
    return typeof value === 'number' ? Math.abs(value) : BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  },
  batch: (value, args, named) => {
    const { linecount, fill_with } = take(['linecount', 'fill_with'], args, named);
    const size = wholeNumber(linecount, 0, 'batch');
    if (size < 1) throw failure('batch: expected a number of at least 1');
    const items = iterate(value);
    const rows: Value[] = [];
    for (let i = 0; i < items.length; i += size) {
      const row = items.slice(i, i + size);
      const missing = fill_with === undefined || fill_with === null ? 0 : size - row.length;
      rows.push([...row, ...new Array<Value>(missing).fill(fill_with!)]);
    }
    return new Stream(rows);
  },
  capitalize: (value) => capitalise(show(value)),
  count: length,
  d: preset,
  default: preset,
  dictsort: (value, args, named) => {
    const {
      case_sensitive = false,
      by = 'key',
      reverse = false,
    } = take(['case_sensitive', 'by', 'reverse'], args, named);
    if (by !== 'key' && by !== 'value') throw failure('You can only sort by either "key" or "value"');
    if (!isDict(value)) throw failure(`'${typeName(value)}' object has no attribute 'items'`);
    const folded = fold(isTrue(case_sensitive));
    const pairs = [...value].map((pair) => new Tuple(pair));
    return sorted(pairs, (pair) => folded((pair as Tuple).items[by === 'key' ? 0 : 1]!), isTrue(reverse));
  },
  first: (value) => {
    const [first] = iterate(value);
    return first === undefined ? new Undefined('No first item, sequence was empty.') : first;
  },
  float: (value, args, named) => {
    const { default: other = 0 } = take(['default'], args, named);
    return toFloat(requireDefined(value)) ?? other;
  },
  format: (value, args, named) => {
    if (named.size > 0) throw unsupported('the filter format with names');
    return formatPercent(show(value), args);
  },
  indent: (value, args, named) => {
    const { width = 4n, first = false, blank = false } = take(['width', 'first', 'blank'], args, named);
    const space = typeof width === 'string' ? width : ' '.repeat(wholeNumber(width, 4, 'indent'));
    const [head = '', ...rest] = splitLines(`${textOf(value, 'indent')}\n`);
    const lines = [head, ...rest.map((line) => (line !== '' || isTrue(blank) ? space + line : line))];
    return (isTrue(first) ? space : '') + lines.join('\n');
  },
  int: (value, args, named) => {
    const { default: other = 0n, base } = take(['default', 'base'], args, named);
    if (base !== undefined && base !== 10n) throw unsupported('the filter int with a base');
    if (typeof value === 'string') {
      const digits = strip(value, undefined, 'both');
      if (/^[+-]?\d+(?:_\d+)*$/.test(digits)) return BigInt(digits.replaceAll('_', '').replace('+', ''));
    }
    if (typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value);
    const float = toFloat(requireDefined(value));
    return float === undefined || !Number.isFinite(float) ? other : BigInt(Math.trunc(float));
  },
  items: (value) => {
    if (value instanceof Undefined) return new Stream([]);
    if (!isDict(value)) throw failure('Can only get item pairs from a mapping.');
    return new Stream([...value].map((pair) => new Tuple(pair)));
  },
  join: (value, args, named) => {
    const { d = '', attribute } = take(['d', 'attribute'], args, named);
    return iterate(value).map(getter(attribute)).map(show).join(show(d));
  },
  last: (value) => {
    if (value instanceof Stream) throw failure("'generator' object is not reversible");
    const last = iterate(value).at(-1);
    return last === undefined ? new Undefined('No last item, sequence was empty.') : last;
  },
  length,
  list: (value) => [...iterate(value)],
  lower: (value) => show(value).toLowerCase(),
  map: (value, args, named) => {
    if (!isTrue(value)) return new Stream([]);
    const items = iterate(value);
    if (args.length === 0 && named.has('attribute')) {
      const { attribute, default: other } = take(['attribute', 'default'], [], named);
      return new Stream(items.map(getter(attribute, other)));
    }
    const [name, ...rest] = args;
    if (name === undefined) throw failure('map requires a filter argument');
    return new Stream(items.map((item) => applyFilter(show(name), item, rest, named)));
  },
  max: extreme('max'),
  min: extreme('min'),
  reject: choosing(false, false),
  rejectattr: choosing(false, true),
  replace: (value, args, named) => {
    const { old, new: by, count } = take(['old', 'new', 'count'], args, named);
    if (old === undefined || by === undefined) throw failure('replace: expected what to replace and by what');
    return replace(show(value), show(old), show(by), count === null ? -1 : wholeNumber(count, -1, 'replace'));
  },
  reverse: (value) => {
    if (typeof value === 'string') return [...value].reverse().join('');
    return new Stream([...iterate(value)].reverse());
  },
  round: (value, args, named) => {
    const { precision = 0n, method = 'common' } = take(['precision', 'method'], args, named);
    if (precision !== 0n) throw unsupported('the filter round to places behind the point');
    if (!isNumber(value)) throw failure(`type ${typeName(value)} doesn't define __round__ method`);
    const x = Number(value);
    if (method === 'ceil') return Math.ceil(x);
    if (method === 'floor') return Math.floor(x);
    if (method !== 'common') throw failure('method must be common, ceil or floor');
    if (typeof value !== 'number') return BigInt(value);
    return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x); // ties go to the even one
  },
  select: choosing(true, false),
  selectattr: choosing(true, true),
  sort: (value, args, named) => {
    const names = ['reverse', 'case_sensitive', 'attribute'] as const;
    const { reverse = false, case_sensitive = false, attribute } = take(names, args, named);
    if (typeof attribute === 'string' && attribute.includes(','))
      throw unsupported('the filter sort by several attributes');
    const [key, folded] = [getter(attribute), fold(isTrue(case_sensitive))];
    return sorted(iterate(value), (item) => folded(key(item)), isTrue(reverse));
  },
  string: (value) => show(value),
  sum: (value, args, named) => {
    const { attribute, start = 0n } = take(['attribute', 'start'], args, named);
    let total = start;
    for (const item of iterate(value).map(getter(attribute))) {
      if (!isNumber(total) || !isNumber(item)) throw failure('sum: expected numbers');
      const isFloat = typeof total === 'number' || typeof item === 'number';
      total = isFloat ? Number(total) + Number(item) : BigInt(total) + BigInt(item);
    }
    return total;
  },
  title: (value) =>
    show(value)
      .split(/([-\s({[<]+)/u)
      .map((word) => {
        const [first = '', ...rest] = word;
        return first.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  tojson: (value, args, named) => {
    const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'] as const;
    const { ensure_ascii = false, indent = null, separators = null, sort_keys = false } = take(names, args, named);
    const space =
      indent === null
        ? undefined
        : typeof indent === 'string'
          ? indent
          : ' '.repeat(Math.max(0, wholeNumber(indent, 0, 'tojson')));
    const given = separators === null ? [space === undefined ? ', ' : ',', ': '] : iterate(separators).map(show);
    if (given.length !== 2) throw failure('tojson: expected two separators');
    return dumpJson(value, {
      ascii: isTrue(ensure_ascii),
      indent: space,
      separators: given as [string, string],
      sorted: isTrue(sort_keys),
    });
  },
  trim: (value, args, named) => {
    const { chars = null } = take(['chars'], args, named);
    return strip(show(value), chars === null ? undefined : textOf(chars, 'trim'), 'both');
  },
  unique: (value, args, named) => {
    const { case_sensitive = false, attribute } = take(['case_sensitive', 'attribute'], args, named);
    const [key, folded] = [getter(attribute), fold(isTrue(case_sensitive))];
    const seen: Value[] = [];
    const isNew = (item: Value): boolean => {
      const one = folded(key(item));
      if (seen.some((other) => equals(one, other))) return false;
      seen.push(one);
      return true;
    };
    return new Stream(iterate(value).filter(isNew));
  },
  upper: (value) => show(value).toUpperCase(),
  wordcount: (value) => BigInt(show(value).match(/[\p{L}\p{N}\p{M}_]+/gu)?.length ?? 0),
};

const OTHER_FILTERS =
  'attr center e escape filesizeformat forceescape groupby pprint random safe slice striptags truncate urlencode urlize wordwrap xmlattr';

export function applyFilter(name: string, value: Value, args: readonly Value[], named: Named): Value {
  if (Object.hasOwn(FILTERS, name)) return FILTERS[name]!(value, args, named);
  if (OTHER_FILTERS.split(' ').includes(name)) throw unsupported(`the filter ${name}`);
  throw failure(`No filter named '${name}'`);
}

function textOf(value: Value, what: string): string {
  if (typeof value === 'string') return value;
  throw failure(`${what}: expected a str, got ${typeName(value)}`);
}

/** Python's float(); undefined where it raises. */
function toFloat(value: Value): number | undefined {
  if (isNumber(value)) return Number(value);
  if (typeof value !== 'string') return undefined;
  const text = strip(value, undefined, 'both')
    .replaceAll(/(?<=\d)_(?=\d)/g, '')
    .toLowerCase();
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(text)) return Number(text);
  const word = /^([+-]?)(?:(inf|infinity)|nan)$/.exec(text);
  if (!word) return undefined;
  return word[2] === undefined ? Number.NaN : word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

type Test = (value: Value, args: readonly Value[]) => boolean;

const other = (args: readonly Value[]): Value => {
  if (args.length !== 1) throw failure(`expected one argument, got ${args.length}`);
  return args[0]!;
};
const order =
  (operator: string, holds: (order: number) => boolean): Test =>
  (value, args) =>
    holds(compare(value, other(args), operator));
/** Whether `value % by` is `rest`. */
const leaves = (value: Value, by: bigint, rest: bigint): boolean => {
  if (isNumber(value)) return equals(operate('%', value, by), rest);
  throw failure(`unsupported operand type(s) for %: '${typeName(requireDefined(value))}' and 'int'`);
};
const equal: Test = (value, args) => equals(value, other(args));
const less = order('<', (one) => one < 0);
const more = order('>', (one) => one > 0);
const atMost = order('<=', (one) => one <= 0);
const atLeast = order('>=', (one) => one >= 0);
const different: Test = (value, args) => !equals(value, other(args));

const TESTS: Readonly<Record<string, Test>> = {
  ...{ eq: equal, equalto: equal, '==': equal, ne: different, '!=': different },
  ...{ lt: less, lessthan: less, '<': less, gt: more, greaterthan: more, '>': more },
  ...{ le: atMost, '<=': atMost, ge: atLeast, '>=': atLeast },
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, args) => {
    const by = other(args);
    if (typeof by !== 'bigint') throw unsupported(`the test divisibleby of a ${typeName(by)}`);
    return leaves(value, by, 0n);
  },
  even: (value) => leaves(value, 2n, 0n),
  false: (value) => value === false,
  filter: (value) => Object.hasOwn(FILTERS, show(value)) || OTHER_FILTERS.split(' ').includes(show(value)),
  float: (value) => typeof value === 'number',
  in: (value, args) => contains(other(args), value),
  integer: (value) => typeof value === 'bigint',
  iterable: (value) => value instanceof Stream || itemsOf(value) !== undefined,
  lower: (value) => isLower(show(value)),
  mapping: (value) => isDict(value),
  none: (value) => value === null,
  number: (value) => isNumber(value),
  odd: (value) => leaves(value, 2n, 1n),
  sameas: (value, args) => {
    const one = other(args);
    if ([value, one].some((side) => side === null || typeof side === 'boolean')) return value === one;
    throw unsupported('the test sameas of what is neither none nor a boolean');
  },
  sequence: (value) =>
    typeof value === 'string' ||
    isList(value) ||
    isDict(value) ||
    value instanceof Tuple ||
    value instanceof Undefined ||
    (value instanceof View && value.name === 'range'),
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => isUpper(show(value)),
};

export function applyTest(name: string, value: Value, args: readonly Value[], named: Named): boolean {
  if (named.size > 0) throw unsupported(`the test ${name} with names`);
  if (Object.hasOwn(TESTS, name)) {
    const test = TESTS[name]!;
    if (test.length < 2 && args.length > 0) throw failure(`the test ${name} takes no argument`);
    return test(value, args);
  }
  if (name === 'escaped' || name === 'test') throw unsupported(`the test ${name}`);
  throw failure(`No test named '${name}'`);
}
