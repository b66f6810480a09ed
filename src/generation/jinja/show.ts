// Values as text: str() and repr() of Python, and json.dumps as transformers' `tojson` calls it.

import { failure, unsupported } from './problem.js';
import { isDict, isList, type Key, keyOf, Tuple, typeName, Undefined, type Value, View } from './values.js';

/** `str(value)`: what `{{ value }}` writes. */
export function show(value: Value): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : represent(value);
}

/** `repr(value)` */
function represent(value: Value): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return showFloat(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null) return 'None';
  if (isList(value)) return `[${value.map(represent).join(', ')}]`;
  if (isDict(value)) return `{${[...value].map(([key, one]) => `${represent(key)}: ${represent(one)}`).join(', ')}}`;
  if (value instanceof Tuple) {
    return `(${value.items.map(represent).join(', ')}${value.items.length === 1 ? ',' : ''})`;
  }
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof View && value.name !== 'range') return `${value.name}(${represent(value.items)})`;
  throw unsupported(`a ${typeName(value)} written as text`);
}

/** Python's shortest form, with an exponent below 1e-4 and from 1e16 on. */
function showFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const plain =
    exponent < 0 ? value.toFixed(Math.min(100, digits.replace(/\D/g, '').length - 1 - exponent)) : `${value}`;
  return plain.includes('.') ? plain : `${plain}.0`;
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replaceAll(/[\\\n\r\t]|['"]|(?! )[\p{C}\p{Z}]/gu, (one) => {
    if (one === "'" || one === '"') return one === mark ? `\\${one}` : one;
    const code = one.codePointAt(0)!.toString(16);
    const long =
      code.length <= 2 ? `\\x${code.padStart(2, '0')}` : code.length <= 4 ? `\\u${code.padStart(4, '0')}` : '';
    return ESCAPED[one] ?? (long || `\\U${code.padStart(8, '0')}`);
  });
  return `${mark}${inner}${mark}`;
}

export type JsonOptions = {
  readonly ascii: boolean;
  /** What a level is indented with; undefined writes one line. */
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, key: string];
  readonly sorted: boolean;
};

/** `json.dumps(value)` */
export function dumpJson(value: Value, options: JsonOptions, level = 0): string {
  if (typeof value === 'string') return quoteJson(value, options.ascii);
  if (typeof value === 'number') {
    return Number.isFinite(value)
      ? showFloat(value)
      : Number.isNaN(value)
        ? 'NaN'
        : value > 0
          ? 'Infinity'
          : '-Infinity';
  }
  if (typeof value === 'bigint' || typeof value === 'boolean' || value === null) return String(value);
  const [between, colon] = options.separators;
  const dump = (one: Value): string => dumpJson(one, options, level + 1);
  const wrap = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close;
    if (options.indent === undefined) return open + parts.join(between) + close;
    const line = `\n${options.indent.repeat(level + 1)}`;
    return `${open}${line}${parts.join(between + line)}\n${options.indent.repeat(level)}${close}`;
  };
  if (isList(value)) return wrap('[', value.map(dump), ']');
  if (value instanceof Tuple) return wrap('[', value.items.map(dump), ']');
  if (isDict(value)) {
    const entries = options.sorted ? sortKeys([...value]) : [...value];
    const write = ([key, one]: readonly [Key, Value]): string =>
      `${quoteJson(typeof key === 'string' ? key : String(key), options.ascii)}${colon}${dump(one)}`;
    return wrap('{', entries.map(write), '}');
  }
  throw failure(`Object of type ${typeName(value)} is not JSON serializable`);
}

function sortKeys(entries: (readonly [Key, Value])[]): (readonly [Key, Value])[] {
  if (entries.some(([key]) => typeof key !== 'string'))
    throw unsupported('tojson with sort_keys of keys that are no text');
  const points = (key: Key): number[] => [...(keyOf(key) as string)].map((one) => one.codePointAt(0)!);
  return entries.sort(([a], [b]) => {
    const [x, y] = [points(a), points(b)];
    const at = x.findIndex((one, i) => one !== y[i]);
    return at < 0 ? x.length - y.length : at >= y.length ? 1 : x[at]! - y[at]!;
  });
}

const JSON_ESCAPED: Readonly<Record<string, string>> = {
  ...{ '\\': '\\\\', '"': '\\"', '\b': '\\b', '\f': '\\f' },
  ...{ '\n': '\\n', '\r': '\\r', '\t': '\\t' },
};

/** Of \p{Cc} JSON leaves what lies above U+001F as it is. */
const JSON_SPECIAL = /(?![\x7f-\x9f])\p{Cc}|["\\]/gu;

function quoteJson(text: string, ascii: boolean): string {
  // Without the u flag: past U+FFFF JSON has a surrogate pair.
  const pattern = ascii ? /[^ !#-[\]-~]/g : JSON_SPECIAL;
  const write = (one: string): string => JSON_ESCAPED[one] ?? `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `"${text.replaceAll(pattern, write)}"`;
}
