// A template as tokens, as Jinja2's lexer makes them with trim_blocks and lstrip_blocks: line ends become \n, one at the
// end is dropped, and white space goes where `-` or the settings say. Follows jinja2/lexer.py, whose names the tokens have.

import { PYTHON_SPACE, trimEnd } from '../../base/portable.js';
import { JinjaError, unsupported } from './problem.js';

export type TokenType = 'data' | 'variable_begin' | 'variable_end' | 'block_begin' | 'block_end' | ValueType;
type ValueType = 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof';

export type Token = { readonly type: TokenType; readonly value: string; readonly line: number };

const S = `[${PYTHON_SPACE}]`;
const TAG = new RegExp(`(\\{%[-+]?${S}*raw${S}*(?:-%\\}${S}*|%\\}))|(\\{\\{[-+]?)|(\\{#[-+]?)|(\\{%[-+]?)`, 'g');
const RAW_END = new RegExp(`(\\{%[-+]?)${S}*endraw${S}*(?:\\+%\\}|-%\\}${S}*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${S}*|#\\}\\n?`, 'g');
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}${S}*|%\\}\\n?`, 'y');
const VARIABLE_END = new RegExp(`-\\}\\}${S}*|\\}\\}`, 'y');
const WHITE = new RegExp(`${S}+`, 'y');
const ONLY_WHITE = new RegExp(`^${S}+$`);

const VALUES: readonly (readonly [ValueType, RegExp])[] = [
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{N}\p{M}_]+/uy],
  ['string', /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y],
  ['operator', /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y],
];
const CLOSING: Readonly<Record<string, string>> = { '{': '}', '(': ')', '[': ']' };

/** @throws JinjaError */
export function tokenise(template: string): readonly Token[] {
  const source = template.replaceAll(/\r\n?/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let [at, line, lineStarts] = [0, 1, true];
  const add = (type: TokenType, value: string): void => void tokens.push({ type, value, line });
  const advance = (to: number): void => {
    for (let i = at; i < to; i++) if (source[i] === '\n') line++;
    if (to > at) lineStarts = source[to - 1] === '\n';
    at = to;
  };
  /** Text before a tag, less what the tag strips. */
  const addText = (text: string, sign: string, isVariable: boolean): void => {
    let kept = text;
    if (sign === '-') kept = trimEnd(text);
    else if (sign !== '+' && !isVariable) {
      const start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarts) && ONLY_WHITE.test(text.slice(start))) kept = text.slice(0, start);
    }
    if (kept !== '') add('data', kept);
  };
  const find = (pattern: RegExp, what: string): RegExpExecArray => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (!match) throw new JinjaError('syntax', `line ${line}: ${what}`);
    return match;
  };
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const readTag = (end: 'variable_end' | 'block_end'): void => {
    const open: string[] = [];
    for (;;) {
      if (at >= source.length) return;
      const closing = open.length > 0 ? undefined : match(end === 'block_end' ? BLOCK_END : VARIABLE_END);
      if (closing !== undefined) {
        add(end, closing);
        advance(at + closing.length);
        return;
      }
      const white = match(WHITE);
      if (white !== undefined) {
        advance(at + white.length);
        continue;
      }
      const found = VALUES.map(([type, pattern]) => [type, match(pattern)] as const).find(([, text]) => text);
      if (!found) throw new JinjaError('syntax', `line ${line}: unexpected character ${JSON.stringify(source[at])}`);
      const [type, text] = found as [ValueType, string];
      if (type === 'operator') {
        if (text in CLOSING) open.push(CLOSING[text]!);
        else if ('})]'.includes(text) && open.pop() !== text) {
          throw new JinjaError('syntax', `line ${line}: unexpected ${text}`);
        }
      }
      add(type, type === 'string' ? readEscapes(text.slice(1, -1), line) : text);
      advance(at + text.length);
    }
  };
  while (at < source.length) {
    TAG.lastIndex = at;
    const tag = TAG.exec(source);
    if (!tag) {
      add('data', source.slice(at));
      break;
    }
    const [text, raw, variable, comment] = tag;
    addText(source.slice(at, tag.index), /^\{.([-+]?)/.exec(text)![1]!, variable !== undefined);
    advance(tag.index);
    if (raw !== undefined) {
      advance(at + text.length);
      const end = find(RAW_END, 'a raw block that does not end');
      addText(source.slice(at, end.index), end[1]!.slice(2), false);
      advance(end.index + end[0].length);
    } else if (comment !== undefined) {
      advance(at + text.length);
      const end = find(COMMENT_END, 'a comment that does not end');
      advance(end.index + end[0].length);
    } else {
      add(variable === undefined ? 'block_begin' : 'variable_begin', text);
      advance(at + text.length);
      readTag(variable === undefined ? 'block_end' : 'variable_end');
    }
  }
  add('eof', '');
  return tokens;
}

const SHORT: Readonly<Record<string, string>> = {
  ...{ '\n': '', '\\': '\\', "'": "'", '"': '"', a: '\x07', b: '\b' },
  ...{ f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
};

/** Python's escapes; a backslash before anything else stays. */
function readEscapes(text: string, line: number): string {
  return text.replaceAll(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g,
    (whole, octal, byte, short, long, other: string | undefined) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = byte ?? short ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (other === 'N') throw unsupported(`line ${line}: a character by its name (\\N{…})`);
      if (other !== undefined && 'xuU'.includes(other)) {
        throw new JinjaError('syntax', `line ${line}: the escape ${whole} is not complete`);
      }
      return SHORT[other!] ?? whole;
    },
  );
}
