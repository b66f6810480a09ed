// Tokenizers laid out like those of real models, against the tokens and texts of the Rust library (huggingface/tokenizers), or
// of transformers where tokenizer_config.json has a part in it. scripts/golden/tokenizer.py makes them.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createCodec } from '../../src/text/portable.js';

const dir = fileURLToPath(new URL('../golden/tokenizers/', import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(dir + name, 'utf8'));

type Golden = {
  readonly tokenizer: object;
  readonly config?: object;
  readonly encoded: readonly (readonly [number[], number[], string, string])[];
  readonly decoded: readonly (readonly [number[], string, string])[];
};
type GoldenParts = {
  readonly tokenizer: object;
  readonly differs: string;
  readonly parts: readonly { readonly part: object; readonly encoded: readonly number[][] }[];
};

const texts = read('texts.json') as readonly string[];
const names = readdirSync(dir).filter((name) => name !== 'texts.json');

describe('as the Rust library', () => {
  test.each(names)('%s', (name) => {
    const golden = read(name) as Golden | GoldenParts;
    if ('parts' in golden) return compareParts(golden);
    const { tokenizer, config, encoded, decoded } = golden;
    const codec = createCodec(JSON.stringify(tokenizer), config && JSON.stringify(config), name);
    encoded.forEach(([withSpecial, without, text, plain], i) => {
      const about = JSON.stringify(texts[i]);
      expect([...codec.encode(texts[i]!)], about).toEqual(withSpecial);
      expect([...codec.encode(texts[i]!, false)], about).toEqual(without);
      expect(codec.decode(withSpecial, true), about).toBe(text);
      expect(codec.decode(withSpecial), about).toBe(plain);
    });
    for (const [ids, text, plain] of decoded) {
      expect(codec.decode(ids, true), `${ids}`).toBe(text);
      expect(codec.decode(ids), `${ids}`).toBe(plain);
    }
  });
});

function compareParts({ tokenizer, differs, parts }: GoldenParts): void {
  expect(parts.length).toBeGreaterThan(1);
  for (const { part, encoded } of parts) {
    const codec = createCodec(JSON.stringify({ ...tokenizer, [differs]: part }), undefined, 'golden');
    encoded.forEach((ids, i) => {
      expect([...codec.encode(texts[i]!)], `${JSON.stringify(part)} of ${JSON.stringify(texts[i])}`).toEqual(ids);
    });
  }
}
