// A tree and variables → text. Scopes are Jinja2's: a loop's turn, a macro, a `with`, a captured or a filtered block have
// their own, and what they set is gone after them; `if` has none. A macro sees what is around its definition.

import { getAttribute, getItem, getSlice } from './access.js';
import { applyFilter, applyTest } from './filters.js';
import { OTHER_GLOBALS } from './globals.js';
import {
  type Arguments,
  type Block,
  type Expression,
  type FilterNode,
  type Parameters,
  type Statement,
  type Target,
  walk,
} from './nodes.js';
import { holds, operate } from './operators.js';
import { failure, unsupported } from './problem.js';
import { show } from './show.js';
import {
  Callable,
  equals,
  isNumber,
  isTrue,
  iterate,
  keyOf,
  type Named,
  Namespace,
  requireDefined,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/** Nodes that one rendering may pass: a template comes with a checkpoint, and must not hold a server up for long. */
const MAX_STEPS = 5_000_000;

class Scope {
  readonly #variables = new Map<string, Value>();
  readonly #parent: Scope | undefined;

  constructor(parent: Scope | undefined) {
    this.#parent = parent;
  }

  get(name: string): Value | undefined {
    return this.#variables.get(name) ?? (this.#variables.has(name) ? null : this.#parent?.get(name));
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

/** A loop's end or next turn, on its way to the loop. */
type Jump = 'break' | 'continue' | undefined;

/** @throws JinjaError */
export function render(body: Block, variables: Iterable<readonly [string, Value]>): string {
  const given = new Scope(undefined);
  for (const [name, value] of variables) given.set(name, value);
  return new Renderer().render(body, new Scope(given));
}

class Renderer {
  #steps = 0;

  /** A block's text; a jump must not leave it. */
  render(body: Block, scope: Scope): string {
    const out: string[] = [];
    if (this.#run(body, scope, out)) throw unsupported('break or continue out of a block that is not the loop’s own');
    return out.join('');
  }

  #run(body: Block, scope: Scope, out: string[]): Jump {
    for (const statement of body) {
      const jump = this.#execute(statement, scope, out);
      if (jump) return jump;
    }
    return undefined;
  }

  #step(): void {
    if (++this.#steps > MAX_STEPS) throw unsupported(`a rendering of more than ${MAX_STEPS} steps`);
  }

  #execute(statement: Statement, scope: Scope, out: string[]): Jump {
    this.#step();
    switch (statement.kind) {
      case 'text':
        out.push(statement.text);
        return undefined;
      case 'output': {
        let { value } = statement;
        // Without automatic escapes `safe` changes nothing where nothing comes after it.
        while (value.kind === 'filter' && value.name === 'safe' && value.operand) value = value.operand;
        out.push(show(this.#evaluate(value, scope)));
        return undefined;
      }
      case 'for':
        return this.#loop(statement, scope, out);
      case 'if': {
        const branch = statement.branches.find(([test]) => isTrue(this.#evaluate(test, scope)));
        return this.#run(branch?.[1] ?? statement.otherwise, scope, out);
      }
      case 'set':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return undefined;
      case 'capture': {
        const text = this.render(statement.body, new Scope(scope));
        this.#assign(statement.target, this.#filter(statement.filter, text, scope), scope);
        return undefined;
      }
      case 'with': {
        const values = statement.pairs.map(([, value]) => this.#evaluate(value, scope));
        const inner = new Scope(scope);
        for (const [i, [target]] of statement.pairs.entries()) this.#assign(target, values[i]!, inner);
        return this.#run(statement.body, inner, out);
      }
      case 'macro':
        scope.set(statement.name, this.#defineMacro(statement.name, statement.parameters, statement.body, scope));
        return undefined;
      case 'callblock': {
        const caller = this.#defineMacro('caller', statement.parameters, statement.body, scope);
        out.push(show(this.#call(statement.call, scope, [['caller', caller]])));
        return undefined;
      }
      case 'filterblock':
        out.push(show(this.#filter(statement.filter, this.render(statement.body, new Scope(scope)), scope)));
        return undefined;
      case 'scope':
        out.push(this.render(statement.body, new Scope(scope)));
        return undefined;
      default:
        return statement.kind;
    }
  }

  #loop(statement: Extract<Statement, { kind: 'for' }>, scope: Scope, out: string[]): Jump {
    const { target, test, body, otherwise } = statement;
    let items = iterate(this.#evaluate(statement.iterable, scope));
    if (test) {
      items = items.filter((item) => {
        const inner = new Scope(scope);
        this.#assign(target, item, inner);
        return isTrue(this.#evaluate(test, inner));
      });
    }
    let last: readonly Value[] | undefined;
    const changed = new Callable('changed', (values) => {
      const is = last === undefined || !equals(new Tuple(last), new Tuple(values));
      last = values;
      return is;
    });
    let wasThrough = false;
    for (const [i, item] of items.entries()) {
      this.#step();
      const inner = new Scope(scope);
      inner.set('loop', describeLoop(items, i, changed));
      this.#assign(target, item, inner);
      const jump = this.#run(body, inner, out);
      if (jump === 'break') break;
      wasThrough ||= jump === undefined;
    }
    // As Jinja2 compiles it: `else` also follows where every turn was left by a jump.
    return wasThrough ? undefined : this.#run(otherwise, new Scope(scope), out);
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') {
      scope.set(target.name, value);
      return;
    }
    if (target.kind === 'namespace') {
      const found = scope.get(target.name);
      if (!(found instanceof Namespace) || found.kind !== 'Namespace') {
        throw failure('cannot assign attribute on non-namespace object');
      }
      found.set(target.key, value);
      return;
    }
    const items = iterate(requireDefined(value));
    if (items.length !== target.items.length) {
      throw failure(`expected ${target.items.length} values to unpack, got ${items.length}`);
    }
    for (const [i, one] of target.items.entries()) this.#assign(one, items[i]!, scope);
  }

  #filter(filter: FilterNode | undefined, text: string, scope: Scope): Value {
    if (!filter) return text;
    const operand = filter.operand ? this.#filter(filter.operand as FilterNode, text, scope) : text;
    return applyFilter(filter.name, operand, ...this.#arguments(filter, scope));
  }

  #arguments({ args, named }: Arguments, scope: Scope): [Value[], Map<string, Value>] {
    const values = args.map((one) => this.#evaluate(one, scope));
    return [values, new Map(named.map(([name, one]) => [name, this.#evaluate(one, scope)]))];
  }

  #call(
    node: Extract<Expression, { kind: 'call' }>,
    scope: Scope,
    more: Iterable<readonly [string, Value]> = [],
  ): Value {
    const callee = requireDefined(this.#evaluate(node.callee, scope));
    const [args, named] = this.#arguments(node, scope);
    if (!(callee instanceof Callable)) throw failure(`'${typeName(callee)}' object is not callable`);
    return callee.call(args, new Map([...named, ...more]));
  }

  #defineMacro(name: string, parameters: Parameters, body: Block, scope: Scope): Callable {
    const mentioned = new Set<string>();
    walk(body, (node) => {
      if (node.kind === 'name') mentioned.add((node as { name: string }).name);
    });
    const extras = (['caller', 'kwargs', 'varargs'] as const).filter(
      (extra) => mentioned.has(extra) && parameters.every((one) => one.name !== extra),
    );
    return new Callable(name, (args, named) => {
      const inner = new Scope(scope);
      const left = new Map<string, Value>(named);
      const given = parameters.map((parameter, i) => {
        if (i < args.length) return args[i];
        const value = left.get(parameter.name);
        left.delete(parameter.name);
        return value;
      });
      this.#bindExtras(name, extras, args.slice(parameters.length), left, inner);
      for (const [i, { name: parameter, preset }] of parameters.entries()) {
        const missing = (): Value =>
          preset ? this.#evaluate(preset, inner) : new Undefined(`parameter '${parameter}' was not provided`);
        inner.set(parameter, given[i] === undefined ? missing() : given[i]);
      }
      return this.render(body, inner);
    });
  }

  #bindExtras(name: string, extras: readonly string[], rest: readonly Value[], left: Map<string, Value>, scope: Scope) {
    if (extras.includes('caller')) {
      scope.set('caller', left.get('caller') ?? new Undefined('No caller defined'));
      left.delete('caller');
    }
    if (extras.includes('kwargs')) scope.set('kwargs', left);
    else if (left.size > 0) throw failure(`macro '${name}' takes no keyword argument '${[...left.keys()][0]}'`);
    if (extras.includes('varargs')) scope.set('varargs', new Tuple(rest));
    else if (rest.length > 0) throw failure(`macro '${name}' takes fewer positional arguments`);
  }

  #evaluate(node: Expression, scope: Scope): Value {
    this.#step();
    const of = (one: Expression): Value => this.#evaluate(one, scope);
    switch (node.kind) {
      case 'constant':
        return node.value;
      case 'name': {
        const found = scope.get(node.name);
        if (found === undefined && OTHER_GLOBALS.includes(node.name)) throw unsupported(`the function ${node.name}`);
        return found === undefined ? new Undefined(`'${node.name}' is undefined`) : found;
      }
      case 'list':
        return node.items.map(of);
      case 'tuple':
        return new Tuple(node.items.map(of));
      case 'dict':
        return new Map(node.items.map(([key, value]) => [keyOf(of(key)), of(value)]));
      case 'attribute':
        return getAttribute(of(node.object), node.name);
      case 'item':
        return getItem(of(node.object), of(node.key));
      case 'slice':
        return getSlice(
          of(node.object),
          node.parts.map((part) => part && of(part)),
        );
      case 'call':
        return this.#call(node, scope);
      case 'filter':
        return applyFilter(node.name, of(node.operand!), ...this.#arguments(node, scope));
      case 'test':
        return applyTest(node.name, of(node.operand), ...this.#arguments(node, scope));
      case 'unary':
        return negate(node.operator, of(node.operand));
      case 'binary':
        return operate(node.operator, of(node.left), of(node.right));
      case 'logical': {
        const left = of(node.left);
        return isTrue(left) === (node.operator === 'or') ? left : of(node.right);
      }
      case 'concat':
        return node.parts.map((part) => show(of(part))).join('');
      case 'compare': {
        let left = of(node.first);
        for (const { operator, operand } of node.rest) {
          const right = of(operand);
          if (!holds(operator, left, right)) return false;
          left = right;
        }
        return true;
      }
      case 'choice':
        if (isTrue(of(node.test))) return of(node.yes);
        return node.no ? of(node.no) : new Undefined('an if without an else gave nothing');
    }
  }
}

function negate(operator: '-' | '+' | 'not', value: Value): Value {
  if (operator === 'not') return !isTrue(value);
  requireDefined(value);
  if (!isNumber(value)) throw failure(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = typeof value === 'boolean' ? BigInt(value) : value;
  return operator === '-' ? -number : number;
}

function describeLoop(items: readonly Value[], i: number, changed: Callable): Namespace {
  const count = items.length;
  const cycle = (args: readonly Value[], _: Named): Value => {
    if (args.length === 0) throw failure('no items for cycling given');
    return args[i % args.length]!;
  };
  const get = (name: string): Value | undefined => {
    switch (name) {
      case 'first':
        return i === 0;
      case 'last':
        return i === count - 1;
      case 'previtem':
        return i > 0 ? items[i - 1]! : new Undefined('there is no previous item');
      case 'nextitem':
        return i < count - 1 ? items[i + 1]! : new Undefined('there is no next item');
      case 'cycle':
        return new Callable('cycle', cycle);
      case 'changed':
        return changed;
      default: {
        const numbers: Readonly<Record<string, number>> = {
          ...{ index: i + 1, index0: i, revindex: count - i, revindex0: count - i - 1 },
          ...{ length: count, depth: 1, depth0: 0 },
        };
        return Object.hasOwn(numbers, name) ? BigInt(numbers[name]!) : undefined;
      }
    }
  };
  return new Namespace('LoopContext', get, () => {});
}
