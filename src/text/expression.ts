// Oniguruma expressions for JavaScript. @huggingface/tokenizers rewrites most of an expression; this file handles what it
// would rewrite wrongly: atomic groups and possessive quantifiers become a lookahead whose match is captured, (?i:…) knows
// all forms of its letters, and other flags are refused. An expression that JavaScript cannot read is a separate error.

import * as library from '@huggingface/tokenizers';

// The package exports this class at run time, but its types are for another way of resolving modules.
const { SplitPreTokenizer } = library as unknown as {
  readonly SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp | null };
};

/** A global expression that matches as Oniguruma's does. @throws SyntaxError where there is none */
export function compileExpression(source: string): RegExp {
  const prepared = prepare(source);
  const config = { type: 'Split', pattern: { Regex: prepared }, behavior: 'Isolated', invert: false };
  const { pattern } = new SplitPreTokenizer(config);
  if (pattern === null) throw new SyntaxError('no expression');
  if (prepared === source) return pattern;
  return new RegExp(
    pattern.source.replace(TAKEN, (_, digit) => `\\k<${nameOf(Number(digit))}>`),
    pattern.flags,
  );
}

/** Stands for a reference to a named group while the library, which would not let one through, rewrites the rest. */
const TAKEN = /\ue000(\d+)\ue001/g;
const nameOf = (group: number): string => `atomic${group}`;

const TOKENS =
  /\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\[\s\S]|\(\?(?:[a-zA-Z-]+[:)]|<[=!]|<[a-zA-Z_]\w*>|[:=!>])|\[\^?\]?|[?*+]\+|[\s\S]/gu;
const FORMS: Readonly<Record<string, string>> = { s: 'sSſ', k: 'kK\u212a' }; // the letters of ASCII with a third form

/** The source as the library should read it. */
function prepare(source: string): string {
  const out: string[] = [];
  const groups: { readonly start: number; readonly atomic: boolean; readonly folds: boolean }[] = [];
  let classes = 0;
  let atom = 0; // where the last thing that a quantifier takes begins in `out`
  let taken = 0;
  const takeWhole = (start: number): void => {
    out.splice(start, 0, `(?=(?<${nameOf(taken)}>`);
    out.push(`))\ue000${taken++}\ue001`);
  };
  for (const [token] of source.matchAll(TOKENS)) {
    const forms = groups.at(-1)?.folds ? FORMS[token.toLowerCase()] : undefined;
    if (classes > 0) {
      if (token.startsWith('[')) classes++;
      else if (token === ']') classes--;
      out.push(forms ?? token);
    } else if (token.startsWith('[')) {
      classes++;
      atom = out.push(token) - 1;
    } else if (token.startsWith('(')) {
      if (/^\(\?[a-zA-Z-]/.test(token) && token !== '(?i:') throw new SyntaxError(`the flags ${token}`);
      const atomic = token === '(?>';
      groups.push({ start: out.length, atomic, folds: token === '(?i:' || groups.at(-1)?.folds === true });
      out.push(atomic ? '(?:' : token);
    } else if (token === ')') {
      out.push(token);
      const group = groups.pop();
      if (group?.atomic) takeWhole(group.start);
      atom = group?.start ?? out.length;
    } else if (/^[?*+]\+$/.test(token)) {
      out.push(token[0]!);
      takeWhole(atom);
    } else {
      if (!/^[?*+{}|]$/.test(token)) atom = out.length;
      out.push(forms === undefined ? token : `[${forms}]`);
    }
  }
  return out.join('');
}
