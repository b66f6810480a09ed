import { describe, expect, test } from 'vitest';
import { renderReport } from '../../src/report/index.js';
import { evaluation, makeManifest } from './manifest.js';

const titles = (html: string): string[] => [...html.matchAll(/<h2>([^<]+)<\/h2>/g)].map(([, title]) => title!);

test('a searched run has every section, in order', () => {
  const html = renderReport(makeManifest(12));
  expect(titles(html)).toEqual([
    'Perplexity',
    'Sparsity per block',
    'Error through depth',
    'The search for β',
    'Sizes',
    'Texts',
    'To do it again',
  ]);
  expect(html).toContain('atp, β = 0.006061 has test perplexity 76.000; the dense model 52.000; uniform 82.000.');
  expect(html).toContain('Better than uniform.');
  expect(html).toContain('Ratio to uniform 0.927');
  expect(html).toContain('1,120,000 (70.000\u00a0%)');
  // 8 bits for each of the 480,000 weights that stay and the 400,000 others, one mask bit for 1,600,000.
  expect(html).toContain('1.08\u00a0MB');
  expect(html).toContain('layerwise prune ./model --sparsity 0.7 --out &lt;dir&gt;');
});

describe('what is not there is left out', () => {
  test('no texts: nothing evaluated, nothing searched', () => {
    const nothing = { validation: null, test: null, errors: [] };
    const texts = { calibration: null, validation: null, test: null };
    const html = renderReport(
      makeManifest(4, { texts, dense: nothing, uniform: null, chosen: nothing, trials: [], search: null }),
    );
    expect(titles(html)).toEqual(['Sparsity per block', 'Sizes', 'To do it again']);
    expect(html).not.toContain('<p class="verdict">');
    expect(html).not.toMatch(/>null<|>undefined<|NaN/);
  });

  test('no test text: the verdict goes by validation', () => {
    const { dense, uniform, chosen, texts } = makeManifest(4);
    const without = <T extends object>(row: T): T => ({ ...row, test: null });
    const html = renderReport(
      makeManifest(4, {
        texts: { ...texts, test: null },
        dense: without(dense),
        uniform: without(uniform!),
        chosen: without(chosen),
      }),
    );
    expect(html).toContain('has validation perplexity 74.000');
    expect(html).not.toContain('>test<');
  });

  test('uniform alone is not compared with itself', () => {
    const { uniform } = makeManifest(4);
    const html = renderReport(
      makeManifest(4, {
        plan: { ...makeManifest(4).plan, policy: { name: 'uniform', hyperparameters: {} } },
        chosen: uniform!,
        trials: [],
        search: null,
      }),
    );
    expect(html.match(/<td>uniform<\/td>/g)).toHaveLength(1);
    expect(html).not.toContain('ratio to uniform');
  });

  test('a search over several numbers has a table and no curve', () => {
    const trials = makeManifest(4).trials.map((trial) => ({
      ...trial,
      beta: null,
      hyperparameters: { line: 0.1, gain: 0.5 },
    }));
    const html = renderReport(makeManifest(4, { trials }));
    expect(titles(html)).toContain('The search');
    expect(html).toContain('<th>line</th><th>gain</th>');
  });
});

test('a difference inside the noise is called a tie, and a loss a loss', () => {
  const close = { validation: null, errors: [] };
  const noisy = { ...evaluation(82), nll: evaluation(82).nll.map((x, i) => x + (i % 2 === 0 ? 0.2 : -0.199)) };
  expect(renderReport(makeManifest(4, { chosen: { ...close, test: noisy } }))).toContain('A tie with uniform');
  expect(renderReport(makeManifest(4, { chosen: { ...close, test: evaluation(90) } }))).toContain('Worse than uniform');
});

test('what comes from a record cannot become markup', () => {
  const evil = `<script>alert("1")</script>&'`;
  const { source, plan, texts } = makeManifest(4);
  const html = renderReport(
    makeManifest(4, {
      source: { ...source, name: evil, family: evil, dtype: evil, hashes: { [evil]: evil } },
      plan: { ...plan, policy: { name: evil, hyperparameters: { [evil]: 1 } } },
      texts: { ...texts, validation: { ...texts.validation!, name: evil, hash: evil } },
      criterion: evil,
      pattern: evil,
      command: evil,
      tool: { version: evil, node: evil, engine: evil, device: evil },
      search: { method: evil, verdict: 'tie' },
    }),
  );
  expect(html).not.toMatch(/<script|alert\("1"\)/);
  expect(html).toContain('&lt;script&gt;');
});

test('equal records give equal bytes, the second time too, and nothing is loaded from elsewhere', () => {
  const first = renderReport(makeManifest(12));
  renderReport(makeManifest(3));
  expect(renderReport(makeManifest(12))).toBe(first);
  expect(first).not.toMatch(/(?:src|href)=|url\((?!#)|@import|<script|<link|zr\d/);
});

test('large and broken perplexities are still readable', () => {
  const html = renderReport(makeManifest(4, { chosen: { validation: null, test: evaluation(12_345.67), errors: [] } }));
  expect(html).toContain('12345.7');
  expect(renderReport(makeManifest(1))).toContain('<svg');
});
