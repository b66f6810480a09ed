// The page and the picture of a frontier.

import { expect, test } from 'vitest';
import { frontierPicture, renderFrontier } from '../../src/report/index.js';
import { makeFrontier } from './frontier-record.js';

test('the page has the table, both fronts and how each form was made; equal records give equal bytes', () => {
  const html = renderFrontier(makeFrontier());
  expect(renderFrontier(makeFrontier())).toBe(html);
  expect([...html.matchAll(/<h2 [^>]*>([^<]+)<\/h2>/g)].map(([, title]) => title)).toEqual([
    ...['Forms of the model', 'The fronts', 'How each was made', 'Texts and weights'],
  ]);
  // Wide and narrow, for bytes and for speed.
  expect(html.match(/<svg class="chart (wide|narrow)"/g)).toHaveLength(4);
  expect(html).toContain('α = 0.5, γ = 0.5');
  expect(html).toContain('skipped: opt is no family of GGUF | sorry');
  expect(html).not.toMatch(/NaN|undefined|<script/);
});

test('names come into the page and the picture as text', () => {
  const record = makeFrontier();
  const [first, ...others] = record.contenders;
  const bad = { ...record, contenders: [{ ...first!, name: '<b>&', what: '<i>' }, ...others] };
  for (const text of [renderFrontier(bad), frontierPicture(bad)]) {
    expect(text).toContain('&lt;b&gt;&amp;');
    expect(text).not.toMatch(/<b>|<i>/);
  }
});

test('the picture is one SVG with both charts, and a list of the forms', () => {
  const svg = frontierPicture(makeFrontier());
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(svg.match(/<svg x="0" y="\d+"/g)).toHaveLength(2);
  expect(svg).toContain('2 int4-stream, 2.00 MB (bytes, speed)');
  expect(svg).toContain('4 q4_k (skipped)');
  expect(svg).not.toMatch(/NaN|undefined|var\(|class=/);
});

test('without anything that ran there is one chart; with one form there is still a picture', () => {
  const record = makeFrontier();
  const one = { ...record, speeds: null, contenders: record.contenders.slice(2, 3) };
  expect(renderFrontier(one).match(/<svg class="chart wide"/g)).toHaveLength(1);
  const none = { ...record, contenders: record.contenders.slice(0, 1) };
  expect(renderFrontier(none)).not.toContain('class="chart');
  expect(frontierPicture(none)).not.toMatch(/NaN|Infinity/);
});
