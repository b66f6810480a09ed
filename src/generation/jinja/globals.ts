// What a template finds without being given it: Jinja2's functions, and those of transformers.

import { failure, unsupported } from './problem.js';
import { show } from './show.js';
import { Callable, isDict, iterate, type Key, keyOf, Namespace, Tuple, typeName, type Value, View } from './values.js';

/** As the sandbox has it. */
const MAX_RANGE = 100_000;

/** Jinja2's other functions. */
export const OTHER_GLOBALS: readonly string[] = ['cycler', 'joiner', 'lipsum', 'self', 'super'];

export function createGlobals(now: Date): ReadonlyMap<string, Value> {
  const functions: Readonly<Record<string, Callable['call']>> = {
    dict: ([given, ...more], named) => {
      if (more.length > 0) throw failure('dict expected at most 1 argument');
      return new Map([...entriesOf(given), ...named]);
    },
    namespace: ([given, ...more], named) => {
      if (more.length > 0) throw failure('namespace expected at most 1 argument');
      const entries = [...entriesOf(given), ...named].map(([key, value]) => [show(key), value] as const);
      for (const [key] of entries) checkName(key);
      const attributes = new Map<string, Value>(entries);
      return new Namespace(
        'Namespace',
        (name) => attributes.get(name),
        (name, value) => {
          checkName(name);
          attributes.set(name, value);
        },
      );
    },
    raise_exception: ([message]) => {
      throw failure(show(message ?? ''));
    },
    range: (args) => {
      const parts = args.map((one) => {
        if (typeof one === 'bigint' || typeof one === 'boolean') return BigInt(one);
        throw failure(`'${typeName(one)}' object cannot be interpreted as an integer`);
      });
      if (parts.length < 1 || parts.length > 3) throw failure('range expected 1 to 3 arguments');
      const [start, stop, step] = parts.length === 1 ? [0n, parts[0]!, 1n] : [parts[0]!, parts[1]!, parts[2] ?? 1n];
      if (step === 0n) throw failure('range() arg 3 must not be zero');
      const items: bigint[] = [];
      for (let i = start; step > 0n ? i < stop : i > stop; i += step) {
        if (items.push(i) > MAX_RANGE)
          throw failure(`Range too big. The sandbox blocks ranges larger than ${MAX_RANGE}.`);
      }
      return new View('range', items);
    },
    strftime_now: ([format]) => {
      if (typeof format !== 'string') throw failure('strftime_now: expected a str');
      return formatTime(now, format);
    },
  };
  return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]));
}

function entriesOf(given: Value | undefined): readonly (readonly [Key, Value])[] {
  if (given === undefined) return [];
  if (isDict(given)) return [...given];
  return iterate(given).map((pair) => {
    const [key, value, ...more] = pair instanceof Tuple ? pair.items : iterate(pair);
    if (key === undefined || value === undefined || more.length > 0) throw failure('dict: expected pairs');
    return [keyOf(key), value];
  });
}

/** A namespace's attribute. */
function checkName(name: string): void {
  if (name.startsWith('_')) {
    throw failure(`Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'.`);
  }
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

/** strftime in the C locale; `-` before a number's letter leaves its zeros out. */
function formatTime(time: Date, format: string): string {
  const hour = time.getHours();
  const numbers: Readonly<Record<string, readonly [number, number]>> = {
    ...{
      d: [time.getDate(), 2],
      m: [time.getMonth() + 1, 2],
      Y: [time.getFullYear(), 4],
      y: [time.getFullYear() % 100, 2],
    },
    ...{ H: [hour, 2], I: [hour % 12 || 12, 2], M: [time.getMinutes(), 2], S: [time.getSeconds(), 2] },
    j: [
      Math.round((new Date(time).setHours(12, 0, 0, 0) - new Date(time.getFullYear(), 0, 0, 12).getTime()) / 864e5),
      3,
    ],
  };
  const [day, month] = [DAYS[time.getDay()]!, MONTHS[time.getMonth()]!];
  const words: Readonly<Record<string, string>> = {
    ...{ '%': '%', A: day, a: day.slice(0, 3), B: month, b: month.slice(0, 3), p: hour < 12 ? 'AM' : 'PM' },
  };
  return format.replaceAll(/%(-?)([\s\S]?)/g, (whole, dash: string, letter: string) => {
    const number = Object.hasOwn(numbers, letter) ? numbers[letter] : undefined;
    if (number) return dash === '' ? String(number[0]).padStart(number[1], '0') : String(number[0]);
    if (dash === '' && Object.hasOwn(words, letter)) return words[letter]!;
    if (letter === 'F') return formatTime(time, '%Y-%m-%d');
    if (letter === 'T') return formatTime(time, '%H:%M:%S');
    throw unsupported(`the time format ${whole}`);
  });
}
