// Tokens as a tree: the grammar of jinja2/parser.py with the tags that transformers turns on (loop controls, generation).
// Names of filters and tests are looked up when they are used; tags of other templates (include, extends) are refused.

import { parseExpression, parseFilters, parseTuple } from './expressions.js';
import { tokenise } from './lex.js';
import type { Block, Expression, FilterNode, Parameters, Statement, Target } from './nodes.js';
import { unsupported } from './problem.js';
import { TokenStream } from './stream.js';

/** @throws JinjaError */
export function parse(template: string): Block {
  const stream = new TokenStream(tokenise(template));
  const body = parseBody(stream, []);
  return body;
}

/** Statements up to a tag that is one of `ends`, which is left as the next name; to the end of the template where there are none. */
function parseBody(stream: TokenStream, ends: readonly string[]): Block {
  const body: Statement[] = [];
  for (;;) {
    const token = stream.next();
    switch (token.type) {
      case 'data':
        body.push({ kind: 'text', text: token.value });
        break;
      case 'variable_begin':
        body.push({ kind: 'output', value: parseTuple(stream) });
        stream.expect('variable_end');
        break;
      case 'block_begin':
        if (ends.includes(stream.current.value) && stream.current.type === 'name') return body;
        body.push(...parseStatement(stream));
        stream.expect('block_end');
        break;
      case 'eof':
        if (ends.length > 0) stream.fail(`the template ends where ${ends.join(' or ')} should be`);
        return body;
      default:
        stream.fail(`unexpected ${JSON.stringify(token.value)}`);
    }
  }
}

/** The rest of a tag and what it holds, up to the closing tag of one of these names, which is read. */
function parseInside(stream: TokenStream, ...ends: readonly string[]): readonly [body: Block, end: string] {
  stream.skip('operator', ':');
  stream.expect('block_end');
  const body = parseBody(stream, ends);
  return [body, stream.expect('name').value];
}

const ELSEWHERE = ['extends', 'include', 'import', 'from', 'block', 'autoescape', 'trans', 'do', 'debug'];

function parseStatement(stream: TokenStream): readonly Statement[] {
  const { value: tag, line } = stream.expect('name');
  switch (tag) {
    case 'for':
      return [parseFor(stream)];
    case 'if':
      return [parseIf(stream)];
    case 'set':
      return [parseSet(stream)];
    case 'with':
      return [parseWith(stream)];
    case 'macro': {
      const name = stream.expect('name').value;
      const parameters = parseParameters(stream);
      return [{ kind: 'macro', name, parameters, body: parseInside(stream, 'endmacro')[0] }];
    }
    case 'call': {
      const parameters = stream.is('operator', '(') ? parseParameters(stream) : [];
      const call = parseExpression(stream);
      if (call.kind !== 'call') return stream.fail('expected a call');
      return [{ kind: 'callblock', call, parameters, body: parseInside(stream, 'endcall')[0] }];
    }
    case 'filter': {
      const filter = parseFilters(stream, undefined, true) as FilterNode;
      return [{ kind: 'filterblock', filter, body: parseInside(stream, 'endfilter')[0] }];
    }
    case 'generation':
      return [{ kind: 'scope', body: parseInside(stream, 'endgeneration')[0] }];
    case 'print': {
      const printed: Statement[] = [];
      while (!stream.is('block_end')) {
        if (printed.length > 0) stream.expect('operator', ',');
        printed.push({ kind: 'output', value: parseExpression(stream) });
      }
      return printed;
    }
    case 'break':
    case 'continue':
      return [{ kind: tag }];
    default:
      if (ELSEWHERE.includes(tag)) throw unsupported(`line ${line}: the tag ${tag}`);
      return stream.fail(`there is no tag ${tag}`);
  }
}

function parseFor(stream: TokenStream): Statement {
  const target = parseTarget(stream, false);
  stream.expect('name', 'in');
  const iterable = parseTuple(stream, { choice: false, ends: ['recursive'] });
  const test = stream.skip('name', 'if') ? parseExpression(stream) : undefined;
  if (stream.is('name', 'recursive')) throw unsupported(`line ${stream.current.line}: a recursive loop`);
  const [body, end] = parseInside(stream, 'endfor', 'else');
  const otherwise = end === 'else' ? parseInside(stream, 'endfor')[0] : [];
  return { kind: 'for', target, iterable, test, body, otherwise };
}

function parseIf(stream: TokenStream): Statement {
  const branches: (readonly [Expression, Block])[] = [];
  for (;;) {
    const test = parseTuple(stream, { choice: false });
    const [body, end] = parseInside(stream, 'elif', 'else', 'endif');
    branches.push([test, body]);
    if (end === 'elif') continue;
    return { kind: 'if', branches, otherwise: end === 'else' ? parseInside(stream, 'endif')[0] : [] };
  }
}

function parseSet(stream: TokenStream): Statement {
  const target = parseTarget(stream, true);
  if (stream.skip('operator', '=')) return { kind: 'set', target, value: parseTuple(stream) };
  const filter = parseFilters(stream, undefined) as FilterNode | undefined;
  return { kind: 'capture', target, filter, body: parseInside(stream, 'endset')[0] };
}

function parseWith(stream: TokenStream): Statement {
  const pairs: (readonly [Target, Expression])[] = [];
  while (!stream.is('block_end')) {
    if (pairs.length > 0) stream.expect('operator', ',');
    const target = parseTarget(stream, false);
    stream.expect('operator', '=');
    pairs.push([target, parseExpression(stream)]);
  }
  return { kind: 'with', pairs, body: parseInside(stream, 'endwith')[0] };
}

function parseParameters(stream: TokenStream): Parameters {
  const parameters: { name: string; preset: Expression | undefined }[] = [];
  stream.expect('operator', '(');
  while (!stream.skip('operator', ')')) {
    if (parameters.length > 0) stream.expect('operator', ',');
    const name = stream.expect('name').value;
    const preset = stream.skip('operator', '=') ? parseExpression(stream) : undefined;
    if (preset === undefined && parameters.at(-1)?.preset !== undefined) {
      stream.fail('a parameter without a default after one with');
    }
    parameters.push({ name, preset });
  }
  return parameters;
}

const CONSTANTS = ['true', 'false', 'none', 'True', 'False', 'None'];

function parseTarget(stream: TokenStream, withNamespace: boolean): Target {
  const items: Target[] = [parseTargetPart(stream, withNamespace)];
  let isTuple = false;
  while (stream.skip('operator', ',')) {
    isTuple = true;
    if (!stream.is('name') || stream.is('name', 'in')) break;
    items.push(parseTargetPart(stream, withNamespace));
  }
  return isTuple ? { kind: 'tuple', items } : items[0]!;
}

function parseTargetPart(stream: TokenStream, withNamespace: boolean): Target {
  if (stream.skip('operator', '(')) {
    const inner = parseTarget(stream, withNamespace);
    stream.expect('operator', ')');
    return inner;
  }
  const { value: name } = stream.expect('name');
  if (CONSTANTS.includes(name)) stream.fail(`cannot assign to ${name}`);
  if (withNamespace && stream.skip('operator', '.')) {
    return { kind: 'namespace', name, key: stream.expect('name').value };
  }
  return { kind: 'name', name };
}
