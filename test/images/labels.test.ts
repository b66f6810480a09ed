import { describe, expect, test } from 'vitest';
import { type LabelFile, mapLabels } from '../../src/images/index.js';

const model = {
  0: 'tench, Tinca tinca',
  1: 'goldfish, Carassius auratus',
  2: 'crane',
  3: 'crane, lifting machine',
  4: 'great white shark, white shark',
};
const file = (entries: Readonly<Record<string, string>>): LabelFile => ({
  kind: 'map',
  path: 'labels.txt',
  entries: new Map(Object.entries(entries)),
});
const ids = (classes: readonly string[], labels: Readonly<Record<string, string>> = model, map?: LabelFile): number[] =>
  Array.from(mapLabels(classes, labels, map).ids);
const refusal = (
  classes: readonly string[],
  labels: Readonly<Record<string, string>> = model,
  map?: LabelFile,
): string => {
  try {
    mapLabels(classes, labels, map);
  } catch (error) {
    expect(error).toMatchObject({ code: 'E_OPTION_LABELS' });
    return (error as Error).message;
  }
  throw new Error('no error');
};

describe('classes become the model’s labels', () => {
  test('by name, never by position', () => {
    expect(ids(['goldfish, Carassius auratus', 'tench, Tinca tinca'])).toEqual([1, 0]);
    expect(ids(['dog', 'cat'], { 0: 'cat', 1: 'dog', 2: 'mouse' })).toEqual([1, 0]);
    expect(ids(['Great_White  shark,_white shark'])).toEqual([4]);
  });

  test('by ImageNet’s number', () => {
    const numbers = { 0: 'n01440764', 1: 'n01443537 goldfish' };
    expect(ids(['n01443537', 'n01440764'], numbers)).toEqual([1, 0]);
    expect(ids(['n01443537_goldfish', 'n01440764_tench'], numbers)).toEqual([1, 0]);
  });

  test('by one of a label’s names, also behind a number', () => {
    expect(ids(['Tinca_tinca', 'n01443537_goldfish', 'white shark'])).toEqual([0, 1, 4]);
    expect(mapLabels(['tench', 'goldfish, carassius auratus'], model).found).toEqual({
      name: 1,
      wnid: 0,
      synonym: 1,
      file: 0,
    });
  });

  test('a name of two labels names neither, and two classes are not one label', () => {
    expect(refusal(['n03126707_crane'])).toMatch(/1 are not, such as "n03126707_crane"/);
    expect(refusal(['n03126707_crane'])).toMatch(/several labels have the name "crane", so give the label's number/);
    expect(ids(['n03126707_crane'], model, file({ n03126707: '3' }))).toEqual([3]);
    expect(refusal(['tench', 'Tinca tinca'])).toMatch(/"tench" and "Tinca tinca" are both/);
    expect(ids(['crane'])).toEqual([2]);
  });

  test('below all of them: refused, with examples and what the model has', () => {
    const message = refusal(['tench', 'salmon', 'trout']);
    expect(message).toMatch(/each of 3 classes.*2 are not, such as "salmon", "trout"/);
    expect(message).toMatch(/"tench, Tinca tinca"/);
    expect(refusal(['0', '1'])).toMatch(/2 are not/);
  });

  test('or as a file says: names, or the labels’ numbers', () => {
    const map = file({ n01440764: 'tench, Tinca tinca', fish: '1', 'other fish': '1' });
    expect(ids(['n01440764', 'fish', 'other fish', 'crane'], model, map)).toEqual([0, 1, 1, 2]);
    expect(ids(['n01440764_tench'], model, map)).toEqual([0]);
    expect(refusal(['x'], model, file({ x: '9' }))).toMatch(/"x"/);
    expect(refusal(['x'], model, { kind: 'list', path: 'labels.txt', values: ['tench'] })).toMatch(/labels\.txt/);
  });
});
