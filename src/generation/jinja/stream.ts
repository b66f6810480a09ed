// Tokens one after another, with a look ahead.

import type { Token, TokenType } from './lex.js';
import { JinjaError } from './problem.js';

export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at]!;
  }

  get ahead(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.current;
    if (token.type !== 'eof') this.#at++;
    return token;
  }

  is(type: TokenType, value?: string): boolean {
    return this.current.type === type && (value === undefined || this.current.value === value);
  }

  /** Reads a token where it is this one. */
  skip(type: TokenType, value?: string): boolean {
    const is = this.is(type, value);
    if (is) this.next();
    return is;
  }

  expect(type: TokenType, value?: string): Token {
    if (this.is(type, value)) return this.next();
    const { type: got, value: text } = this.current;
    const shown = got === 'eof' ? 'the end of the template' : text === '' ? got : JSON.stringify(text);
    return this.fail(`expected ${value ?? type.replace('_', ' ')}, got ${shown}`);
  }

  fail(message: string): never {
    throw new JinjaError('syntax', `line ${this.current.line}: ${message}`);
  }
}
