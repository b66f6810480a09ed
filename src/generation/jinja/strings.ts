// Python's methods of str that templates use. Text is counted in characters, and white space is what Python calls so.

import { countCharacters, PYTHON_SPACE, trimEnd, trimStart } from '../../base/portable.js';
import { failure, unsupported } from './problem.js';
import { show } from './show.js';
import { iterate, lengthOf, type Named, Tuple, typeName, type Value } from './values.js';

const SPACES = new RegExp(`[${PYTHON_SPACE}]+`);

/** What splitlines() splits at. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python splits there
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;

type Side = 'left' | 'right' | 'both';

/** `str.strip(characters)` and its sides; white space where no characters are given. */
export function strip(text: string, characters: string | undefined, side: Side): string {
  if (characters === undefined) {
    const rest = side === 'right' ? text : trimStart(text);
    return side === 'left' ? rest : trimEnd(rest);
  }
  const set = new Set(characters);
  const points = [...text];
  let [from, to] = [0, points.length];
  if (side !== 'right') while (from < to && set.has(points[from]!)) from++;
  if (side !== 'left') while (to > from && set.has(points[to - 1]!)) to--;
  return points.slice(from, to).join('');
}

/** `str.capitalize()` */
export function capitalise(text: string): string {
  const [first = '', ...rest] = text;
  const [upper = '', ...more] = first.toUpperCase();
  return upper + more.join('').toLowerCase() + rest.join('').toLowerCase();
}

/** `str.replace(old, with, count)`; all where the count is negative. */
export function replace(text: string, old: string, by: string, count: number): string {
  if (count === 0) return text;
  const limit = count < 0 ? Number.POSITIVE_INFINITY : count;
  if (old === '') {
    const points = [...text];
    return points.map((one, i) => (i < limit ? by + one : one)).join('') + (points.length < limit ? by : '');
  }
  const parts = text.split(old);
  const joined = parts.slice(0, Math.min(parts.length, limit + 1)).join(by);
  return [joined, ...parts.slice(limit + 1)].join(old);
}

/** `str.splitlines()` */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    lines.push(text.slice(start, keepEnds ? index + end.length : index));
    start = index + end.length;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

function split(text: string, separator: string | undefined, limit: number, fromRight: boolean): string[] {
  if (separator === '') throw failure('empty separator');
  const most = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (fromRight && most !== Number.POSITIVE_INFINITY) {
    if (separator === undefined) throw unsupported('rsplit at white space with a number of splits');
    const parts = text.split(separator);
    const kept = parts.splice(Math.max(0, parts.length - most));
    return parts.length === 0 ? kept : [parts.join(separator), ...kept];
  }
  if (separator !== undefined) {
    const parts = text.split(separator);
    const rest = parts.splice(Math.min(parts.length, most));
    return rest.length === 0 ? parts : [...parts, rest.join(separator)];
  }
  const parts: string[] = [];
  let rest = strip(text, undefined, 'left');
  while (rest !== '' && parts.length < most) {
    const white = SPACES.exec(rest);
    parts.push(white ? rest.slice(0, white.index) : rest);
    rest = white ? rest.slice(white.index + white[0].length) : '';
  }
  return rest === '' ? parts : [...parts, rest];
}

/** `str.title()`: the first letter of each run of letters. */
const title = (text: string): string => text.replaceAll(/\p{L}+/gu, (word) => capitalise(word));

const isCased = (text: string): boolean => /[\p{Lu}\p{Ll}\p{Lt}]/u.test(text);
export const isLower = (text: string): boolean => isCased(text) && !/[\p{Lu}\p{Lt}]/u.test(text);
export const isUpper = (text: string): boolean => isCased(text) && !/[\p{Ll}\p{Lt}]/u.test(text);

type Method = (text: string, args: readonly Value[], named: Named) => Value;

const textOf = (value: Value | undefined, method: string): string => {
  if (typeof value === 'string') return value;
  throw failure(`${method}() expected a str, got ${value === undefined ? 'nothing' : typeName(value)}`);
};
const optional = (value: Value | undefined, method: string): string | undefined =>
  value === undefined || value === null ? undefined : textOf(value, method);
const countOf = (value: Value | undefined): number => {
  if (value === undefined) return -1;
  if (typeof value === 'bigint') return Number(value);
  throw failure(`'${typeName(value)}' object cannot be interpreted as an integer`);
};

const affix =
  (name: 'startswith' | 'endswith'): Method =>
  (text, [given, ...more]) => {
    if (more.length > 0) throw unsupported(`str.${name} from a place on`);
    const all = given instanceof Tuple ? given.items : [given];
    return all.some((one) => text[name === 'startswith' ? 'startsWith' : 'endsWith'](textOf(one, name)));
  };
const find =
  (name: 'find' | 'rfind' | 'index' | 'rindex'): Method =>
  (text, [given, ...more]) => {
    if (more.length > 0) throw unsupported(`str.${name} from a place on`);
    const part = textOf(given, name);
    const at = name.startsWith('r') ? text.lastIndexOf(part) : text.indexOf(part);
    if (at < 0 && name.endsWith('index')) throw failure('substring not found');
    return at < 0 ? -1n : BigInt(countCharacters(text.slice(0, at)));
  };
const splitWith =
  (name: 'split' | 'rsplit'): Method =>
  (text, args, named) =>
    split(
      text,
      optional(args[0] ?? named.get('sep'), name),
      countOf(args[1] ?? named.get('maxsplit')),
      name === 'rsplit',
    );
const partition =
  (fromRight: boolean): Method =>
  (text, [given]) => {
    const mark = textOf(given, 'partition');
    if (mark === '') throw failure('empty separator');
    const at = fromRight ? text.lastIndexOf(mark) : text.indexOf(mark);
    if (at < 0) return new Tuple(fromRight ? ['', '', text] : [text, '', '']);
    return new Tuple([text.slice(0, at), mark, text.slice(at + mark.length)]);
  };

/** By name; `named` arguments are taken where Python takes them. */
export const STRING_METHODS: Readonly<Record<string, Method>> = {
  capitalize: (text) => capitalise(text),
  count: (text, [part, ...more]) => {
    if (more.length > 0) throw unsupported('str.count from a place on');
    return part === '' ? lengthOf(text) + 1n : BigInt(text.split(textOf(part, 'count')).length - 1);
  },
  endswith: affix('endswith'),
  find: find('find'),
  index: find('index'),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  isdigit: (text) => {
    if (/\P{ASCII}/u.test(text)) throw unsupported('str.isdigit of text that is not ASCII');
    return /^[0-9]+$/.test(text);
  },
  islower: isLower,
  isspace: (text) => new RegExp(`^[${PYTHON_SPACE}]+$`).test(text),
  isupper: isUpper,
  join: (text, [items]) =>
    iterate(items ?? null)
      .map((one) => textOf(one, 'join'))
      .join(text),
  lower: (text) => text.toLowerCase(),
  lstrip: (text, [set]) => strip(text, optional(set, 'lstrip'), 'left'),
  partition: partition(false),
  removeprefix: (text, [part]) => {
    const prefix = textOf(part, 'removeprefix');
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, [part]) => {
    const suffix = textOf(part, 'removesuffix');
    return suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: (text, [old, by, count], named) =>
    replace(text, textOf(old, 'replace'), textOf(by, 'replace'), countOf(count ?? named.get('count'))),
  rfind: find('rfind'),
  rindex: find('rindex'),
  rpartition: partition(true),
  rsplit: splitWith('rsplit'),
  rstrip: (text, [set]) => strip(text, optional(set, 'rstrip'), 'right'),
  split: splitWith('split'),
  splitlines: (text, [keep], named) => splitLines(text, (keep ?? named.get('keepends')) === true),
  startswith: affix('startswith'),
  strip: (text, [set]) => strip(text, optional(set, 'strip'), 'both'),
  title: (text) => title(text),
  upper: (text) => text.toUpperCase(),
};

/** `text % args`, of which %s, %d and %% with a width are here; a list or dict may be left over, as in Python. */
export function formatPercent(text: string, args: readonly Value[], mayBeLeft = false): string {
  let at = 0;
  const out = text.replaceAll(/%(0?)(\d*)([\s\S]?)/g, (whole, zero: string, width: string, kind: string) => {
    if (whole === '%%') return '%';
    if (kind !== 's' && kind !== 'd') throw unsupported(`the format ${whole}`);
    if (at >= args.length) throw failure('not enough arguments for format string');
    const value = args[at++]!;
    if (kind === 's') return ' '.repeat(Math.max(0, Number(width) - countCharacters(show(value)))) + show(value);
    if (typeof value !== 'bigint') throw unsupported(`the format ${whole} of a ${typeName(value)}`);
    const digits = show(value < 0n ? -value : value);
    const sign = value < 0n ? '-' : '';
    if (zero !== '') return sign + digits.padStart(Number(width) - sign.length, '0');
    return (sign + digits).padStart(Number(width));
  });
  if (at < args.length && !mayBeLeft) throw failure('not all arguments converted during string formatting');
  return out;
}
