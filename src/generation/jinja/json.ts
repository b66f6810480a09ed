// JSON as Python's json.loads reads it into a template's values: whole numbers stay whole however long they are, 1.0 stays a
// float, and keys keep their order where JavaScript would sort "10" before "a". The text has been accepted by JSON.parse.

import type { Key, Value } from './values.js';

const TOKEN = /[\s:,]*(?:([[\]{}])|("(?:[^"\\]|\\.)*")|(true|false|null)|(-?\d+)(\.\d+)?([eE][-+]?\d+)?)/y;

/** @throws SyntaxError where the text is no JSON */
export function readJson(text: string): Value {
  JSON.parse(text);
  let at = 0;
  const next = (): RegExpExecArray => {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)!;
    at = TOKEN.lastIndex;
    return token;
  };
  const read = ([, bracket, string, word, whole, fraction, power]: RegExpExecArray): Value => {
    if (bracket === '[') {
      const items: Value[] = [];
      for (let token = next(); token[1] !== ']'; token = next()) items.push(read(token));
      return items;
    }
    if (bracket === '{') {
      const dict = new Map<Key, Value>();
      for (let token = next(); token[1] !== '}'; token = next()) dict.set(JSON.parse(token[2]!), read(next()));
      return dict;
    }
    if (string !== undefined) return JSON.parse(string);
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    return fraction === undefined && power === undefined
      ? BigInt(whole!)
      : Number(`${whole}${fraction ?? ''}${power ?? ''}`);
  };
  return read(next());
}
