// Finds every error code in the sources, with the templates of its messages. A message is the string that follows the code
// where an error is made, or the constant of that name; each `${expression}` in it becomes the expression's name in ‹ ›.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** The templates of a code, by its name, both sorted. A code whose message is put together elsewhere has none. */
export type Codes = ReadonlyMap<string, readonly string[]>;

/** A name as a person would write it: `maxPositions` and `MAX_POSITIONS` become `max positions`. */
const inWords = (name: string): string =>
  name
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();

/** Calls that only change how their object is printed. */
const PRINTING = new Set(['join', 'toFixed', 'toString', 'toLocaleString', 'toUpperCase', 'slice', 'map', 'trim']);

function nameOf(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return inWords(node.text);
  if (ts.isPropertyAccessExpression(node)) {
    if (node.name.text === 'length') return `number of ${nameOf(node.expression)}`;
    return inWords(node.name.text);
  }
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node) || ts.isAsExpression(node)) {
    return nameOf(node.expression);
  }
  if (ts.isElementAccessExpression(node)) return nameOf(node.expression);
  if (ts.isArrayLiteralExpression(node) || ts.isSpreadElement(node)) return 'list';
  if (ts.isConditionalExpression(node)) return nameOf(node.whenTrue);
  if (ts.isBinaryExpression(node)) return nameOf(node.left);
  if (ts.isCallExpression(node)) {
    const { expression, arguments: given } = node;
    const prints = ts.isPropertyAccessExpression(expression) && PRINTING.has(expression.name.text);
    if (prints) return nameOf(expression.expression);
    return given[0] ? nameOf(given[0]) : nameOf(expression);
  }
  return '…';
}

/** The templates that an expression can be; none where it is no text. */
function templatesOf(node: ts.Expression): string[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return templatesOf(node.expression);
  if (ts.isConditionalExpression(node)) return [...templatesOf(node.whenTrue), ...templatesOf(node.whenFalse)];
  if (ts.isTemplateExpression(node)) {
    const spans = node.templateSpans.map(({ expression, literal }) => {
      const [only, ...others] = templatesOf(expression);
      const shown = only !== undefined && others.length === 0 ? only : `‹${nameOf(expression)}›`;
      return shown + literal.text;
    });
    return [node.head.text + spans.join('')];
  }
  return [];
}

/** What the constant `name` is set to, where it is declared in a block around `from`. */
function constantAround(from: ts.Node, name: string): ts.Expression | undefined {
  for (let scope = from.parent; scope; scope = scope.parent) {
    if (!ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    for (const statement of scope.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      const found = statement.declarationList.declarations.find(({ name: own }) => own.getText() === name);
      if (found?.initializer) return found.initializer;
    }
  }
  return undefined;
}

const textAt = (from: ts.Node, node: ts.Expression | undefined): string[] => {
  if (!node) return [];
  const constant = ts.isIdentifier(node) ? constantAround(from, node.text) : undefined;
  return templatesOf(constant ?? node);
};

function collect(source: ts.SourceFile, into: Map<string, Set<string>>): void {
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) && /^E_[A-Z]+_[A-Z_]+$/.test(node.text)) {
      const templates = into.get(node.text) ?? new Set();
      into.set(node.text, templates);
      const made = node.parent;
      if ((ts.isNewExpression(made) || ts.isCallExpression(made)) && made.arguments) {
        const next = made.arguments[made.arguments.indexOf(node) + 1];
        // A helper may take a word after the code, such as what was expected; only a sentence is a message.
        for (const template of textAt(node, next)) if (/[.:;](\s|‹|$)/.test(template)) templates.add(template);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** The codes in the TypeScript files under `folder`. */
export function readCodes(folder: string): Codes {
  const codes = new Map<string, Set<string>>();
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!path.endsWith('.ts') || path.endsWith('.as.ts')) continue;
    collect(ts.createSourceFile(path, readFileSync(join(folder, path), 'utf8'), ts.ScriptTarget.Latest, true), codes);
  }
  const sorted = [...codes].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(sorted.map(([code, templates]) => [code, [...templates].sort()]));
}
