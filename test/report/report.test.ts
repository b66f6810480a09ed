import { describe, expect, test } from 'vitest';
import { parseManifest } from '../../src/records/index.js';
import { renderReport } from '../../src/report/index.js';
import { evaluation, makeManifest } from './manifest.js';

const titles = (html: string): string[] => [...html.matchAll(/<h2 [^>]*>([^<]+)<\/h2>/g)].map(([, title]) => title!);
const verdict = (html: string): string | undefined =>
  html.match(/<p class="verdict [^"]*">(.*?)<\/p>/)?.[1]?.replaceAll(/<\/?b>/g, '');
const nothing = { validation: null, test: null, errors: [] };

/** Losses whose mean is ln(perplexity), up and down by `noise`. */
const noisy = (perplexity: number, noise: number) => ({
  ...evaluation(perplexity),
  nll: evaluation(perplexity).nll.map((loss, i) => loss + (i % 2 === 0 ? noise : -noise)),
});

test('the fixture is a record', () => {
  const manifest = makeManifest(12);
  expect(parseManifest(JSON.stringify(manifest), 'layerwise.json')).toEqual(manifest);
});

test('a searched run has every section, in order', () => {
  const html = renderReport(makeManifest(12));
  expect(titles(html)).toEqual([
    'Perplexity',
    'Sparsity per block',
    'Error through depth',
    'Search for β',
    'Sizes',
    'Texts',
    'How it was made',
  ]);
  expect(html.match(/<svg class="chart (wide|narrow)" viewBox="[^"]+" role="img" aria-label="[^"]+">/g)).toHaveLength(
    6,
  );
  expect(html.match(/<figcaption>/g)).toHaveLength(3);
  expect(html).toContain('1,120,000 (70.00\u202f%)');
  // 8 bits for each of the 30 % that stay and one bit of mask for all 1,600,000.
  expect(html).toContain('3.4 bits per prunable weight, 680 kB');
  expect(html).toContain('as large as its source');
  expect(html).toContain('layerwise prune ./model</span> <span>--sparsity 0.7</span> <span>--out &lt;dir&gt;');
});

test('the errors alone, carried and corrected are curves of their own', () => {
  const manifest = makeManifest(4);
  const { chosen } = manifest;
  const html = renderReport({
    ...manifest,
    target: { alpha: 0.5, gamma: 1 },
    chosen: { ...chosen, alone: [0.31, 0.32, 0.33, 0.34], own: { errors: [0.31, 0.5, 0.7, 0.91], samePlan: false } },
  });
  const names = [
    'uniform, following α = 0.5, γ = 1',
    'ATP, following α = 0.5, γ = 1',
    'uniform, own target',
    'each block alone',
  ];
  for (const name of names) expect(html).toContain(`<span>${name}</span>`);
  expect(html).toContain('uniform, own target 0.910, each block alone 0.340.');
  expect(html).toContain('<td>0.9100</td><td>0.3400</td>');
});

describe('the distance to the dense model', () => {
  const greedy = {
    ...{ prompt: 32, tokens: 64, same: [64, 12] },
    worst: { prompt: 'Once', same: ' upon', dense: ' a time', edited: ' <b>' },
  };
  const fidelity = {
    ...{ text: 'test' as const, windows: 2, tokens: 510, tail: 9.87 },
    ...{ divergence: [0.1, 0.2], agreement: [0.9, 0.8], greedy },
  };
  const { uniform, chosen } = makeManifest(4);
  test('is a row for each model, a sentence, and the text that parts first', () => {
    const manifest = makeManifest(4, {
      uniform: { ...uniform!, fidelity: { ...fidelity, tail: 12.5, greedy: { ...greedy, worst: null } } },
      chosen: { ...chosen, fidelity },
    });
    expect(parseManifest(JSON.stringify(manifest), 'layerwise.json')).toEqual(manifest);
    const html = renderReport(manifest);
    expect(titles(html).slice(0, 2)).toEqual(['Perplexity', 'Distance to the dense model']);
    // 0.15 ± 1.96 · 0.05
    expect(html).toContain(
      '<td>0.150 <span class="interval">[0.052, 0.248]</span></td><td>9.870</td><td>85.0\u202f%</td>',
    );
    expect(html).toContain('<td>12.500</td>');
    expect(html).toContain('<td>38.0 of 64</td>');
    expect(html).toContain('of 2 greedy texts of 64 tokens 1 is the same to the end');
    expect(html).toContain('<code> &lt;b&gt;</code>');
  });

  test('without greedy texts has no column for them', () => {
    const without = { ...fidelity, greedy: null };
    const manifest = makeManifest(4, { uniform: null, chosen: { ...chosen, fidelity: without } });
    const html = renderReport(manifest);
    expect(html).toContain('likeliest as the dense model.</p>');
    expect(html).not.toContain('first difference');
    expect(html).not.toContain('The text that parts first');
  });
});

describe('the verdict', () => {
  const of = (chosen: ReturnType<typeof evaluation>) =>
    verdict(renderReport(makeManifest(4, { chosen: { ...nothing, test: chosen } })));

  test('better, in words and numbers', () => {
    expect(verdict(renderReport(makeManifest(4)))).toBe(
      'ATP with β = 0.006061 gives test perplexity 76.000 against 82.000 for uniform (ratio 0.927, 95 % interval [0.927, 0.927]): better than uniform. The dense model has 52.000; 70.00\u202f% of the prunable weights are now zero.',
    );
  });
  test('a difference inside the noise is a tie', () => {
    expect(of(noisy(82, 0.2))).toContain('a tie with uniform: the interval contains 1');
  });
  test('a loss is a loss', () => {
    expect(of(evaluation(90))).toContain('(ratio 1.098, 95 % interval [1.098, 1.098]): worse than uniform');
  });
  test('a bound that is not 1 is not shown as 1', () => {
    expect(of(evaluation(82 * 0.9997))).toContain('(ratio 0.9997, 95 % interval [0.9997, 0.9997]): better');
  });
  test('one window decides nothing', () => {
    const row = (perplexity: number) => ({ ...nothing, test: evaluation(perplexity, 1) });
    const said = verdict(renderReport(makeManifest(4, { uniform: row(82), chosen: row(76) })));
    expect(said).toContain('(ratio 0.927; one window is too few for an interval).');
    expect(said).not.toContain('better');
  });
  test('rows that were not scored on the same windows are not compared', () => {
    const html = renderReport(makeManifest(4, { chosen: { ...nothing, test: evaluation(76, 5) } }));
    expect(verdict(html)).toMatch(/^ATP with β = 0.006061 gives test perplexity 76.000\. The dense model has 52.000/);
    expect(html).not.toContain('NaN');
  });
  test('without test text it goes by validation', () => {
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
    expect(verdict(html)).toContain('gives validation perplexity 74.000 against 80.000 for uniform');
    expect(html).not.toContain('<th scope="col">test</th>');
  });
  test('a search that comes back to uniform says so', () => {
    const { uniform, plan } = makeManifest(4);
    const html = renderReport(
      makeManifest(4, { plan: { ...plan, from: { policy: 'atp', values: { beta: 0 } } }, chosen: uniform! }),
    );
    expect(verdict(html)).toContain('Uniform sparsity gives test perplexity 82.000. The search found nothing better');
  });
});

describe('what is not there is left out', () => {
  test('no texts: nothing evaluated, nothing searched', () => {
    const texts = { calibration: null, validation: null, test: null };
    const { from: _, budget: __, ...plan } = makeManifest(4).plan;
    const html = renderReport(
      makeManifest(4, { texts, plan, dense: nothing, uniform: null, chosen: nothing, trials: [], search: null }),
    );
    expect(titles(html)).toEqual(['Sparsity per block', 'Sizes', 'How it was made']);
    expect(verdict(html)).toBeUndefined();
    expect(html).toContain('given plan');
    expect(html.replace(/<style>[\s\S]*<\/style>/, '')).not.toMatch(/null|undefined|NaN|Infinity/);
  });

  test('uniform alone is not compared with itself', () => {
    const { uniform, plan } = makeManifest(4);
    const html = renderReport(
      makeManifest(4, {
        plan: { ...plan, from: { policy: 'uniform', values: {} } },
        chosen: uniform!,
        trials: [],
        search: null,
      }),
    );
    expect(html.match(/<th scope="row">uniform<\/th>/g)).toHaveLength(1);
    expect(html).not.toContain('/ uniform');
    expect(titles(html)).not.toContain('Search for β');
  });

  test('a search over several numbers is drawn trial by trial, with the numbers in its table', () => {
    const trials = makeManifest(4).trials.map((trial) => ({
      ...trial,
      beta: null,
      hyperparameters: { line: 0.1, gain: 0.5 },
    }));
    const html = renderReport(makeManifest(4, { trials }));
    expect(titles(html)).toContain('Search');
    expect(html).toContain('<th scope="col">line</th><th scope="col">gain</th>');
    expect(html).toContain('against the trial’s number');
  });
});

test('trials off the scale of the search are marked and counted', () => {
  const manifest = makeManifest(4);
  const far = { ...manifest.trials[1]!, beta: 0.02, interval: [3, 4] as [number, number] };
  const html = renderReport(makeManifest(4, { trials: [...manifest.trials, far] }));
  expect(html).toContain('off the scale');
  expect(html).toContain('One trial is off the scale, up to ratio 3.464.');
  expect(renderReport(manifest)).not.toContain('off the scale');
});

test('what comes from a record cannot become markup', () => {
  const evil = `</script></svg><script>alert("1")</script>" onload='x' zr0-c0 &`;
  const { source, plan, texts, trials } = makeManifest(4);
  const html = renderReport(
    makeManifest(4, {
      source: { ...source, name: evil, family: evil, dtype: evil, hashes: { [evil]: evil } },
      plan: { ...plan, from: { policy: evil, values: { [evil]: 1 } } },
      texts: { ...texts, validation: { ...texts.validation!, name: evil, hash: evil } },
      trials: trials.map((trial) => ({ ...trial, beta: null, hyperparameters: { [evil]: 1 } })),
      criterion: evil,
      pattern: evil,
      command: evil,
      tool: { version: evil, node: evil, engine: evil, device: evil },
      search: { method: evil, equivalents: 1, verdict: 'tie' },
    }),
  );
  expect(html).not.toMatch(/<\/?script|alert\("1"\)|onload='|" onload/);
  expect(html).toContain('&lt;/script&gt;');
  expect(html).toContain("Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"");
});

test('equal records give equal bytes, also after other pages, and nothing is loaded from elsewhere', () => {
  const first = renderReport(makeManifest(12));
  renderReport(makeManifest(3));
  expect(renderReport(makeManifest(12))).toBe(first);
  expect(first).not.toMatch(/src=|href=|url\(|@import|<script|<link|zr\d|ecmeta/);
});

test('perplexities of any size are readable', () => {
  const of = (perplexity: number) =>
    renderReport(makeManifest(4, { chosen: { ...nothing, test: evaluation(perplexity) } }));
  expect(of(2.4031)).toContain('<td>2.403</td>');
  expect(of(81.2479)).toContain('<td>81.248</td>');
  expect(of(12_345.67)).toContain('<td>12345.7</td>');
  expect(of(3.2e9)).toContain('<td>3.20 · 10^9</td>');
});

test('one block, and every sparsity there is, can be drawn', () => {
  const { sparsity } = makeManifest(1);
  for (const blocks of [[0.7], [0, 1], [0.7, 0.7]]) {
    const html = renderReport(makeManifest(blocks.length, { sparsity: { ...sparsity, blocks } }));
    expect(html).toContain('<svg class="chart');
    expect(html).not.toContain('NaN');
  }
});
