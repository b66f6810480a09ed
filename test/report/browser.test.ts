/// <reference lib="dom" />

// The report as a person sees it: opened from disk in a real browser, on a phone, in the dark, in print.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderReport } from '../../src/report/index.js';
import { startBrowser } from '../browser.js';
import { makeManifest } from './manifest.js';

const started = await startBrowser();
if ('reason' in started) console.warn(`skipped: the report in a browser (${started.reason})`);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-report-'));
});
afterAll(async () => {
  if ('browser' in started) await started.browser.close();
  await rm(dir, { recursive: true, force: true });
});

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1100, height: 900 };

/** Relative luminance of an `rgb(…)` colour (WCAG 2). */
function luminance(colour: string): number {
  const [r, g, b] = colour
    .match(/[\d.]+/g)!
    .slice(0, 3)
    .map((channel) => Number(channel) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

describe.skipIf('reason' in started)('report.html in a browser', () => {
  async function open(blocks: number, viewport: typeof PHONE, colorScheme: 'light' | 'dark') {
    if (!('browser' in started)) throw new Error(started.reason);
    const path = join(dir, `report-${blocks}.html`);
    await writeFile(path, renderReport(makeManifest(blocks)));
    const page = await started.browser.newPage({ viewport, colorScheme });
    const trouble: string[] = [];
    page.on('console', (message) => trouble.push(message.text()));
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('request', (request) => request.url() !== pathToFileURL(path).href && trouble.push(request.url()));
    await page.goto(pathToFileURL(path).href);
    return { page, trouble };
  }

  /** Colours as computed: of the page and text on it, and of what charts draw. */
  const coloursOf = (page: Page) =>
    page.evaluate(() => {
      const visible = [...document.querySelectorAll('svg.chart')].filter((svg) => svg.getClientRects().length > 0);
      const inCharts = (selector: string, property: 'fill' | 'stroke') =>
        visible
          .flatMap((svg) => [...svg.querySelectorAll(selector)])
          .map((one) => getComputedStyle(one)[property])
          .filter((colour) => colour !== 'none');
      const of = (selector: string) => getComputedStyle(document.querySelector(selector)!);
      return {
        paper: of('body').backgroundColor,
        panel: of('.verdict').backgroundColor,
        text: [of('body').color, of('.note').color, of('th').color, of('figcaption').color],
        labels: inCharts('text', 'fill'),
        marks: [...document.querySelectorAll('svg.mark > :first-child')].map((one) => {
          const { fill, stroke } = getComputedStyle(one);
          return stroke === 'none' ? fill : stroke;
        }),
      };
    });

  test.each([
    [1, PHONE],
    [12, PHONE],
    [80, PHONE],
    [12, DESKTOP],
    [80, DESKTOP],
  ])('%i blocks at %o: silent, no sideways scrolling, every chart there and legible', async (blocks, viewport) => {
    const { page, trouble } = await open(blocks, viewport, 'light');
    expect(await page.evaluate(() => document.scrollingElement!.scrollWidth)).toBeLessThanOrEqual(viewport.width);
    const charts = await page.evaluate(() =>
      [...document.querySelectorAll('figure')].map((figure) => {
        const [svg, ...others] = [...figure.querySelectorAll('svg.chart')].filter(
          (one) => one.getClientRects().length > 0,
        );
        const texts = [...svg!.querySelectorAll('text')];
        const boxes = texts.map((text) => text.getBoundingClientRect());
        const frame = svg!.getBoundingClientRect();
        return {
          others: others.length,
          width: frame.width,
          height: frame.height,
          overlaps: boxes.flatMap((a, i) =>
            boxes.flatMap((b, j) =>
              j > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
                ? [`${texts[i]!.textContent} / ${texts[j]!.textContent}`]
                : [],
            ),
          ),
          outside: texts.filter((_, i) => boxes[i]!.left < frame.left - 1 || boxes[i]!.right > frame.right + 1).length,
          smallest: Math.min(...boxes.map(({ height }) => height)),
        };
      }),
    );
    expect(charts).toHaveLength(3);
    for (const { others, width, height, overlaps, outside, smallest } of charts) {
      expect(others).toBe(0);
      expect(width).toBeGreaterThan(300);
      expect(height).toBeGreaterThan(200);
      expect(overlaps).toEqual([]);
      expect(outside).toBe(0);
      expect(smallest).toBeGreaterThanOrEqual(12); // CSS pixels of a line: legible without zooming
    }
    expect(trouble).toEqual([]);
    await page.close();
  });

  test.each(['light', 'dark'] as const)('%s: text and labels stand out, marks can be seen', async (scheme) => {
    const { page } = await open(12, DESKTOP, scheme);
    const { paper, panel, text, labels, marks } = await coloursOf(page);
    expect(luminance(paper) < 0.05).toBe(scheme === 'dark');
    expect(labels.length).toBeGreaterThan(30);
    for (const colour of [...text, ...labels]) expect(contrast(colour, paper)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(text[0]!, panel)).toBeGreaterThanOrEqual(4.5);
    for (const colour of marks) expect(contrast(colour, paper)).toBeGreaterThanOrEqual(2.9);
    await page.close();
  });

  test('print: dark ink on white paper, even from a dark screen, with every chart', async () => {
    const { page } = await open(12, DESKTOP, 'dark');
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    const { paper, text, labels } = await coloursOf(page);
    expect(paper).toBe('rgb(255, 255, 255)');
    for (const colour of [...text, ...labels]) expect(contrast(colour, paper)).toBeGreaterThanOrEqual(4.5);
    const sizes = await page.evaluate(() =>
      [...document.querySelectorAll('svg.chart')].map((svg) => svg.getBoundingClientRect().height).filter(Boolean),
    );
    expect(sizes).toHaveLength(3);
    await page.close();
  });
});
