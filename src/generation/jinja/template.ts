// A chat template: read once, rendered for each conversation as transformers' environment for Jinja2 renders it (trim_blocks,
// lstrip_blocks, loop controls, `generation` tags, its own tojson, raise_exception, strftime_now). Written anew because the
// text must be the same to the byte: what is missing here is refused by name. Judge: scripts/golden/chat.py.

import { createGlobals } from './globals.js';
import { type Expression, type Statement, walk } from './nodes.js';
import { parse } from './parse.js';
import { render } from './render.js';
import type { Value } from './values.js';

export interface JinjaTemplate {
  /** Names, keys and pieces of text that the template's tags hold. */
  readonly mentions: ReadonlySet<string>;
  /** Whether it goes through the parts of a message's content. */
  readonly loopsOverContent: boolean;
  /** Whether it writes a call's arguments as the text they are, and nowhere asks what they are. */
  readonly writesArguments: boolean;
  /** @throws JinjaError */
  render(variables: Readonly<Record<string, Value>>, now?: Date): string;
}

/** @throws JinjaError */
export function createTemplate(source: string): JinjaTemplate {
  const body = parse(source);
  const mentions = new Set<string>();
  let [loopsOverContent, adds, asks] = [false, false, false];
  const add = (node: Expression | undefined): void => {
    adds ||= endsWith(node, 'arguments');
  };
  walk(body, (node: Expression | Statement) => {
    if (node.kind === 'attribute' || node.kind === 'name') mentions.add((node as { name: string }).name);
    else if (node.kind === 'constant' && typeof node.value === 'string') mentions.add(node.value);
    if (node.kind === 'for') loopsOverContent ||= endsWith(withoutFilters(node.iterable), 'content');
    if (node.kind === 'test' || node.kind === 'filter') asks ||= endsWith(node.operand, 'arguments');
    if (node.kind === 'attribute' || node.kind === 'item') asks ||= endsWith(node.object, 'arguments');
    if (node.kind === 'output') add(node.value);
    if (node.kind === 'binary') for (const side of [node.left, node.right]) add(side);
    if (node.kind === 'concat') for (const part of node.parts) add(part);
  });
  return {
    ...{ mentions, loopsOverContent, writesArguments: adds && !asks },
    render: (variables, now = new Date()) => render(body, [...createGlobals(now), ...Object.entries(variables)]),
  };
}

const withoutFilters = (node: Expression): Expression =>
  node.kind === 'filter' && node.operand ? withoutFilters(node.operand) : node;

/** Whether an expression is `name`, `….name` or `…['name']`. */
function endsWith(node: Expression | undefined, name: string): boolean {
  if (node?.kind === 'item') return node.key.kind === 'constant' && node.key.value === name;
  return (node?.kind === 'name' || node?.kind === 'attribute') && node.name === name;
}

/** A value of JavaScript's as a template's; a whole number is an int. A Map, which `readJson` makes, is one already. */
export function toValue(plain: unknown): Value {
  if (plain === null || plain === undefined) return null;
  if (typeof plain === 'number') return Number.isInteger(plain) ? BigInt(plain) : plain;
  if (Array.isArray(plain)) return plain.map(toValue);
  if (typeof plain === 'object' && !(plain instanceof Map))
    return new Map(Object.entries(plain).map(([key, value]) => [key, toValue(value)]));
  return plain as Value;
}
