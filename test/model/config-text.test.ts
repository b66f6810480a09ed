import fc from 'fast-check';
import { expect, test } from 'vitest';
import { amendConfig } from '../../src/model/index.js';
import { runs } from '../scale.js';

test('values are replaced, added and removed, and all others keep their characters', () => {
  const text = '{\n  "a": 1e-05,\n  "b": [1, {"c": "}"}],\n  "d": 4.0\n}\n';
  expect(amendConfig(text, { values: { b: 2, e: [3] }, remove: ['d', 'none'] })).toBe(
    '{\n  "a": 1e-05,\n  "b": 2,\n  "e": [3]\n}\n',
  );
  expect(amendConfig('{"t": {"x": 1.0}, "y": 2}', { within: 't', values: { x: 3 }, remove: ['y'] })).toBe(
    '{"t": {"x": 3}, "y": 2}',
  );
  expect(amendConfig('{ }', { values: { a: 1 } })).toBe('{"a": 1 }');
});

test('a key that every object inherits is a key like any other', () => {
  const text = '{"toString": 1,"b": 2}';
  expect(amendConfig(text, { values: { b: 5 } })).toBe('{"toString": 1,"b": 5}');
  expect(amendConfig(text, { values: { toString: 3 } })).toBe('{"toString": 3,"b": 2}');
});

test('what is read afterwards is what was asked for', () => {
  const key = fc.constantFrom<string>('a', 'b', 'c', 'long key', '"', '\\');
  const object = fc.dictionary(key, fc.jsonValue());
  const space = fc.constantFrom(undefined, 1, '\t');
  fc.assert(
    fc.property(object, object, fc.array(key), space, (config, values, remove, indent) => {
      const made = JSON.parse(amendConfig(JSON.stringify(config, null, indent), { values, remove }));
      const left = Object.entries(config).filter(([one]) => !remove.includes(one));
      expect(made).toEqual(JSON.parse(JSON.stringify({ ...Object.fromEntries(left), ...values })));
    }),
    { numRuns: runs(300) },
  );
});
