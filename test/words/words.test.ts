// Numbers and names as people read them, at the values where the form changes.

import { expect, test } from 'vitest';
import {
  describeValues,
  formatAccuracy,
  formatBytes,
  formatCount,
  formatNumber,
  formatPercent,
  formatPerplexity,
  formatTarget,
} from '../../src/words/index.js';

test('perplexities of any size', () => {
  const shown = [2.40312, 999.9994, 1000, 12_345.67, 999_999, 3.2e9].map(formatPerplexity);
  expect(shown).toEqual(['2.403', '999.999', '1000.0', '12345.7', '999999.0', '3.20 · 10^9']);
  expect([Number.POSITIVE_INFINITY, Number.NaN, null, undefined].map(formatPerplexity)).toEqual(['∞', '–', '–', '–']);
});

test('bytes keep three digits, and never show 1000 of a unit', () => {
  const shown = [0, 999, 999.6, 4_954_368, 999_499, 999_600, 13.2e9, 5e15].map(formatBytes);
  expect(shown).toEqual(['0 B', '999 B', '1.00 kB', '4.95 MB', '999 kB', '1.00 MB', '13.2 GB', '5.00e+3 TB']);
});

test('shares, counts and accuracies', () => {
  expect([formatPercent(0.7), formatPercent(0.12345, 1), formatPercent(0.5, 0)]).toEqual(['70.00 %', '12.3 %', '50 %']);
  expect([formatTarget(0.7), formatTarget(0.625)]).toEqual(['70 %', '62.5 %']);
  expect([999, 1000, 2_477_184].map(formatCount)).toEqual(['999', '1,000', '2,477,184']);
  expect(formatAccuracy({ value: 0.621, stderr: 0.012 })).toEqual(['62.10', '± 1.20']);
  expect(formatAccuracy({ value: 0.621, stderr: null })).toEqual(['62.10', '']);
  expect(formatAccuracy(null)).toEqual(['–', '']);
});

test('hyperparameters by the letters of the papers', () => {
  expect(describeValues({ beta: 0.0060606, lambda: 0.1, line: 0.25 })).toBe('β = 0.006061, λ = 0.1, line = 0.25');
  expect(describeValues({})).toBe('');
  expect(formatNumber(0.1 + 0.2)).toBe('0.3');
});
