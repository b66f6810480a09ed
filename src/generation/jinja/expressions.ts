// Expressions, from the loosest binding to the tightest: a if b else c; or; and; not; comparisons; + and −; ~; *, /, //
// and %; **; signs; then members, calls, filters and tests. As in jinja2/parser.py.

import type { Arguments, BinaryOperator, CompareOperator, Expression, FilterNode } from './nodes.js';
import { unsupported } from './problem.js';
import type { TokenStream } from './stream.js';

/** `choice` false reads no `if … else`; a name of `ends` ends a tuple. */
type TupleOptions = { readonly choice?: boolean; readonly ends?: readonly string[]; readonly parenthesised?: boolean };

/** An expression, or several with commas as a tuple. */
export function parseTuple(stream: TokenStream, options: TupleOptions = {}): Expression {
  const { choice = true, ends = [], parenthesised = false } = options;
  const isEnd = (): boolean =>
    stream.is('variable_end') ||
    stream.is('block_end') ||
    stream.is('operator', ')') ||
    (stream.current.type === 'name' && ends.includes(stream.current.value));
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) stream.expect('operator', ',');
    if (isEnd()) break;
    items.push(choice ? parseExpression(stream) : parseOr(stream));
    if (!stream.is('operator', ',')) break;
    isTuple = true;
  }
  if (!isTuple && items.length === 1) return items[0]!;
  if (!isTuple && !parenthesised) stream.fail('expected an expression');
  return { kind: 'tuple', items };
}

export function parseExpression(stream: TokenStream): Expression {
  let yes = parseOr(stream);
  while (stream.skip('name', 'if')) {
    const test = parseOr(stream);
    const no = stream.skip('name', 'else') ? parseExpression(stream) : undefined;
    yes = { kind: 'choice', test, yes, no };
  }
  return yes;
}

function parseOr(stream: TokenStream): Expression {
  let left = parseAnd(stream);
  while (stream.skip('name', 'or')) left = { kind: 'logical', operator: 'or', left, right: parseAnd(stream) };
  return left;
}

function parseAnd(stream: TokenStream): Expression {
  let left = parseNot(stream);
  while (stream.skip('name', 'and')) left = { kind: 'logical', operator: 'and', left, right: parseNot(stream) };
  return left;
}

function parseNot(stream: TokenStream): Expression {
  if (stream.skip('name', 'not')) return { kind: 'unary', operator: 'not', operand: parseNot(stream) };
  return parseComparison(stream);
}

function parseComparison(stream: TokenStream): Expression {
  const first = parseSum(stream);
  const rest: { operator: CompareOperator; operand: Expression }[] = [];
  for (;;) {
    const operator = readComparison(stream);
    if (operator === undefined) break;
    rest.push({ operator, operand: parseSum(stream) });
  }
  return rest.length === 0 ? first : { kind: 'compare', first, rest };
}

function readComparison(stream: TokenStream): CompareOperator | undefined {
  const { type, value } = stream.current;
  if (type === 'operator' && ['==', '!=', '<', '<=', '>', '>='].includes(value)) {
    stream.next();
    return value as CompareOperator;
  }
  if (stream.skip('name', 'in')) return 'in';
  if (!stream.is('name', 'not') || stream.ahead.type !== 'name' || stream.ahead.value !== 'in') return undefined;
  stream.next();
  stream.next();
  return 'not in';
}

type Level = (stream: TokenStream) => Expression;

const leftToRight =
  (operators: readonly string[], next: Level): Level =>
  (stream) => {
    let left = next(stream);
    while (stream.current.type === 'operator' && operators.includes(stream.current.value)) {
      const operator = stream.next().value as BinaryOperator;
      left = { kind: 'binary', operator, left, right: next(stream) };
    }
    return left;
  };

const parsePower = leftToRight(['**'], (stream) => parseUnary(stream));
const parseProduct = leftToRight(['*', '/', '//', '%'], parsePower);
const parseSum = leftToRight(['+', '-'], parseConcat);

function parseConcat(stream: TokenStream): Expression {
  const parts = [parseProduct(stream)];
  while (stream.skip('operator', '~')) parts.push(parseProduct(stream));
  return parts.length === 1 ? parts[0]! : { kind: 'concat', parts };
}

function parseUnary(stream: TokenStream, withFilters = true): Expression {
  let node: Expression;
  if (stream.skip('operator', '-')) node = { kind: 'unary', operator: '-', operand: parseUnary(stream, false) };
  else if (stream.skip('operator', '+')) node = { kind: 'unary', operator: '+', operand: parseUnary(stream, false) };
  else node = parsePrimary(stream);
  node = parsePostfix(stream, node);
  return withFilters ? parseFiltersAndTests(stream, node) : node;
}

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  ...{ true: true, True: true, false: false, False: false, none: null, None: null },
};

function parsePrimary(stream: TokenStream): Expression {
  const { type, value } = stream.next();
  switch (type) {
    case 'name':
      if (Object.hasOwn(CONSTANTS, value)) return { kind: 'constant', value: CONSTANTS[value]! };
      return { kind: 'name', name: value };
    case 'string': {
      let text = value;
      while (stream.is('string')) text += stream.next().value;
      return { kind: 'constant', value: text };
    }
    case 'integer':
      return { kind: 'constant', value: BigInt(value.replaceAll('_', '')) };
    case 'float':
      return { kind: 'constant', value: Number(value.replaceAll('_', '')) };
    default:
  }
  if (type === 'operator' && value === '(') {
    const inner = parseTuple(stream, { parenthesised: true });
    stream.expect('operator', ')');
    return inner;
  }
  if (type === 'operator' && value === '[') {
    return { kind: 'list', items: parseSeries(stream, ']', () => parseExpression(stream)) };
  }
  if (type === 'operator' && value === '{') {
    const readPair = (): readonly [Expression, Expression] => {
      const key = parseExpression(stream);
      stream.expect('operator', ':');
      return [key, parseExpression(stream)];
    };
    return { kind: 'dict', items: parseSeries(stream, '}', readPair) };
  }
  return stream.fail(`unexpected ${type === 'eof' ? 'end of the template' : JSON.stringify(value)}`);
}

/** Things with commas between them, and perhaps one behind the last. */
function parseSeries<T>(stream: TokenStream, close: string, read: () => T): T[] {
  const items: T[] = [];
  while (!stream.skip('operator', close)) {
    if (items.length > 0) {
      stream.expect('operator', ',');
      if (stream.skip('operator', close)) break;
    }
    items.push(read());
  }
  return items;
}

function parsePostfix(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.skip('operator', '.')) {
      const { type, value } = stream.next();
      if (type === 'name') node = { kind: 'attribute', object: node, name: value };
      else if (type === 'integer') node = itemOf(node, { kind: 'constant', value: BigInt(value.replaceAll('_', '')) });
      else stream.fail('expected a name or a number after the dot');
    } else if (stream.skip('operator', '[')) node = parseSubscript(stream, node);
    else if (stream.is('operator', '(')) node = { kind: 'call', callee: node, ...parseCall(stream) };
    else return node;
  }
}

const itemOf = (object: Expression, key: Expression): Expression => ({ kind: 'item', object, key });

function parseSubscript(stream: TokenStream, object: Expression): Expression {
  const parts: (Expression | undefined)[] = [];
  let isSlice = false;
  let current: Expression | undefined;
  while (!stream.skip('operator', ']')) {
    if (stream.skip('operator', ':')) {
      isSlice = true;
      parts.push(current);
      current = undefined;
    } else if (stream.is('operator', ',')) throw unsupported(`line ${stream.current.line}: several subscripts`);
    else if (current !== undefined) stream.fail('expected ]');
    else current = parseExpression(stream);
  }
  if (!isSlice) return current === undefined ? stream.fail('expected a subscript') : itemOf(object, current);
  parts.push(current);
  if (parts.length > 3) stream.fail('a slice of more than three parts');
  return { kind: 'slice', object, parts };
}

function parseCall(stream: TokenStream): Arguments {
  stream.expect('operator', '(');
  const args: Expression[] = [];
  const named: (readonly [string, Expression])[] = [];
  parseSeries(stream, ')', () => {
    if (stream.is('operator', '*') || stream.is('operator', '**')) {
      throw unsupported(`line ${stream.current.line}: arguments from a list (${stream.current.value})`);
    }
    if (stream.is('name') && stream.ahead.type === 'operator' && stream.ahead.value === '=') {
      const name = stream.next().value;
      stream.next();
      if (named.some(([one]) => one === name)) stream.fail(`the argument ${name} twice`);
      named.push([name, parseExpression(stream)]);
    } else if (named.length > 0) stream.fail('an argument without a name after one with');
    else args.push(parseExpression(stream));
  });
  return { args, named };
}

function parseFiltersAndTests(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (;;) {
    if (stream.is('operator', '|')) node = parseFilters(stream, node)!;
    else if (stream.is('name', 'is')) node = parseTest(stream, node);
    else if (stream.is('operator', '(')) node = { kind: 'call', callee: node, ...parseCall(stream) };
    else return node;
  }
}

/** Filters one after another; `inline` where the first has no `|` before it. */
export function parseFilters(
  stream: TokenStream,
  operand: Expression | undefined,
  inline = false,
): FilterNode | Expression | undefined {
  let node = operand;
  for (let first = inline; first || stream.skip('operator', '|'); first = false) {
    const name = readDotted(stream);
    const given = stream.is('operator', '(') ? parseCall(stream) : { args: [], named: [] };
    node = { kind: 'filter', operand: node, name, ...given };
  }
  return node;
}

const NO_ARGUMENT = ['else', 'or', 'and'];

function parseTest(stream: TokenStream, operand: Expression): Expression {
  stream.next();
  const negated = stream.skip('name', 'not');
  const name = readDotted(stream);
  let given: Arguments = { args: [], named: [] };
  const { type, value } = stream.current;
  if (stream.is('name', 'is')) stream.fail('two tests after one another');
  if (stream.is('operator', '(')) given = parseCall(stream);
  else if (
    ['string', 'integer', 'float'].includes(type) ||
    (type === 'name' && !NO_ARGUMENT.includes(value)) ||
    (type === 'operator' && (value === '[' || value === '{'))
  ) {
    given = { args: [parsePostfix(stream, parsePrimary(stream))], named: [] };
  }
  const node: Expression = { kind: 'test', operand, name, ...given };
  return negated ? { kind: 'unary', operator: 'not', operand: node } : node;
}

function readDotted(stream: TokenStream): string {
  let name = stream.expect('name').value;
  while (stream.skip('operator', '.')) name += `.${stream.expect('name').value}`;
  return name;
}
