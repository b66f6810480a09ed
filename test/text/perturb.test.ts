// Texts in another form: the same words, in the same order.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PERTURBATIONS, type Perturbation } from '../../src/text/index.js';
import { runs } from '../scale.js';

const NAMES = Object.keys(PERTURBATIONS) as Perturbation[];
const wordsOf = (text: string): readonly string[] => text.split(/\s+/).filter((word) => word !== '');

const text = fc
  .array(fc.tuple(fc.stringMatching(/^[A-Za-zÄé.,]{1,6}$/), fc.constantFrom(' ', '  ', '\n', '\r\n', '\n\n', ' \n ')), {
    maxLength: 200,
  })
  .map((parts) => parts.flat().join(''));

test.each(NAMES)('%s keeps every word, and is the same each time', (name) => {
  fc.assert(
    fc.property(text, (before) => {
      const after = PERTURBATIONS[name](before);
      const lower = name === 'lower-case';
      expect(wordsOf(after)).toEqual(wordsOf(before).map((word) => (lower ? word.toLowerCase() : word)));
      expect(PERTURBATIONS[name](before)).toBe(after);
    }),
    { numRuns: runs(50) },
  );
});

test('blank-lines: after every 40 words, whatever stood there; the rest as it was', () => {
  const words = Array.from({ length: 85 }, (_, i) => `w${i}`);
  const paragraphs = PERTURBATIONS['blank-lines'](words.join(' ')).split('\n\n');
  expect(paragraphs).toEqual([words.slice(0, 40), words.slice(40, 80), words.slice(80)].map((some) => some.join(' ')));
  expect(PERTURBATIONS['blank-lines'](words.slice(0, 40).join(' '))).toBe(words.slice(0, 40).join(' '));
  expect(PERTURBATIONS['blank-lines']('a\tb\n')).toBe('a\tb\n');
});

test('no-breaks and lower-case', () => {
  expect(PERTURBATIONS['no-breaks']('\na b \r\n\n c\td\n')).toBe('a b c\td');
  expect(PERTURBATIONS['lower-case']('Ärger IN\nIstanbul')).toBe('ärger in\nistanbul');
});
