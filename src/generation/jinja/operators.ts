// Python's operators on a template's values.

import type { BinaryOperator, CompareOperator } from './nodes.js';
import { failure, unsupported } from './problem.js';
import { formatPercent } from './strings.js';
import {
  compare,
  contains,
  equals,
  isDict,
  isList,
  isNumber,
  requireDefined,
  Tuple,
  typeName,
  type Value,
} from './values.js';

/** Characters or items of what `*` makes. */
const MAX_REPEATED = 1_000_000;

export function operate(operator: BinaryOperator, a: Value, b: Value): Value {
  requireDefined(a);
  requireDefined(b);
  if (isNumber(a) && isNumber(b)) return calculate(operator, a, b);
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') return a + b;
    if (isList(a) && isList(b)) return [...a, ...b];
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
    if (typeof a === 'string') throw failure(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  if (operator === '*') {
    const repeated = repeat(a, b) ?? repeat(b, a);
    if (repeated !== undefined) return repeated;
  }
  if (operator === '%' && typeof a === 'string') {
    return b instanceof Tuple ? formatPercent(a, b.items) : formatPercent(a, [b], isList(b) || isDict(b));
  }
  throw failure(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function repeat(what: Value, times: Value): Value | undefined {
  if (typeof times !== 'bigint' && typeof times !== 'boolean') return undefined;
  const count = Math.max(0, Number(times));
  const items = typeof what === 'string' ? what : isList(what) ? what : what instanceof Tuple ? what.items : undefined;
  if (items === undefined) return undefined;
  if (items.length * count > MAX_REPEATED) throw unsupported(`more than ${MAX_REPEATED} repeated characters or items`);
  if (typeof items === 'string') return items.repeat(count);
  const all = Array.from({ length: count }, () => items).flat(1) as Value[];
  return what instanceof Tuple ? new Tuple(all) : all;
}

function calculate(operator: BinaryOperator, a: bigint | number | boolean, b: bigint | number | boolean): Value {
  const isFloat = typeof a === 'number' || typeof b === 'number';
  if (['/', '//', '%'].includes(operator) && Number(b) === 0) throw failure('division by zero');
  if (operator === '/') return Number(a) / Number(b);
  if (operator === '**') return power(isFloat ? Number(a) : BigInt(a), isFloat ? Number(b) : BigInt(b));
  if (isFloat) {
    const [x, y] = [Number(a), Number(b)];
    switch (operator) {
      case '+':
        return x + y;
      case '-':
        return x - y;
      case '*':
        return x * y;
      case '//':
        return Math.floor(x / y);
      case '%':
        return ((x % y) + y) % y;
    }
  }
  const [x, y] = [BigInt(a), BigInt(b)];
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '//':
      return (x - modulo(x, y)) / y;
    case '%':
      return modulo(x, y);
  }
}

/** The rest that has the divisor's sign. */
const modulo = (x: bigint, y: bigint): bigint => ((x % y) + y) % y;

function power(a: bigint | number, b: bigint | number): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint' && b >= 0n) {
    if (b > 1024n) throw unsupported('a power above 1024');
    return a ** b;
  }
  const [x, y] = [Number(a), Number(b)];
  if (x === 0 && y < 0) throw failure('0.0 cannot be raised to a negative power');
  const result = x ** y;
  if (Number.isNaN(result) || !Number.isFinite(result)) throw unsupported('a power that is no finite number');
  return result;
}

export function holds(operator: CompareOperator, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return equals(a, b);
    case '!=':
      return !equals(a, b);
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
    case '<':
      return compare(a, b, operator) < 0;
    case '<=':
      return compare(a, b, operator) <= 0;
    case '>':
      return compare(a, b, operator) > 0;
    case '>=':
      return compare(a, b, operator) >= 0;
  }
}
