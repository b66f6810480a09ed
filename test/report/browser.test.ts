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
  const channels = colour
    .match(/[\d.]+/g)!
    .slice(0, 3)
    .map((channel) => Number(channel) / 255);
  const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [
    number,
    number,
    number,
  ];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const contrast = (a: string, b: string): number => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
};

describe.skipIf('reason' in started)('report.html', () => {
  async function open(
    blocks: number,
    viewport: typeof PHONE,
    colorScheme: 'light' | 'dark',
  ): Promise<{ page: Page; trouble: string[] }> {
    if (!('browser' in started)) throw new Error('no browser');
    const path = join(dir, `report-${blocks}.html`);
    await writeFile(path, renderReport(makeManifest(blocks)));
    const page = await started.browser.newPage({ viewport, colorScheme });
    const trouble: string[] = [];
    page.on('console', (message) => trouble.push(message.text()));
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith('file:')) trouble.push(request.url());
    });
    await page.goto(pathToFileURL(path).href);
    return { page, trouble };
  }

  const colours = (page: Page) =>
    page.evaluate(() => {
      const of = (selector: string) => getComputedStyle(document.querySelector(selector)!);
      return {
        paper: of('body').backgroundColor,
        ink: of('body').color,
        label: of('figure > svg text').fill,
        note: of('.note').color,
      };
    });

  test.each([
    [1, PHONE],
    [12, PHONE],
    [80, PHONE],
    [12, DESKTOP],
    [80, DESKTOP],
  ])('%i blocks at %o: quiet, no sideways scrolling, every picture there, labels apart', async (blocks, viewport) => {
    const { page, trouble } = await open(blocks, viewport, 'light');
    expect(await page.evaluate(() => document.scrollingElement!.scrollWidth)).toBeLessThanOrEqual(viewport.width);
    const pictures = await page.evaluate(() =>
      [...document.querySelectorAll('figure > svg')]
        .filter((svg) => getComputedStyle(svg).display !== 'none')
        .map((svg) => {
          const texts = [...svg.querySelectorAll('text')].map((text) => text.getBoundingClientRect());
          const overlaps = texts.filter((a, i) =>
            texts.some((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom),
          ).length;
          const { width, height } = svg.getBoundingClientRect();
          return { width, height, overlaps, smallest: Math.min(...texts.map((text) => text.height)) };
        }),
    );
    expect(pictures).toHaveLength(3);
    for (const { width, height, overlaps, smallest } of pictures) {
      expect(width).toBeGreaterThan(300);
      expect(height).toBeGreaterThan(200);
      expect(overlaps).toBe(0);
      expect(smallest).toBeGreaterThanOrEqual(12); // CSS pixels: legible without zooming
    }
    expect(trouble).toEqual([]);
    await page.close();
  });

  test.each(['light', 'dark'] as const)('%s: text and labels stand out from the paper', async (scheme) => {
    const { page } = await open(12, DESKTOP, scheme);
    const { paper, ink, label, note } = await colours(page);
    expect(luminance(paper) < 0.2).toBe(scheme === 'dark');
    for (const colour of [ink, label, note]) expect(contrast(colour, paper)).toBeGreaterThanOrEqual(4.5);
    await page.close();
  });

  test('print: dark ink on white paper, even from a dark screen', async () => {
    const { page } = await open(12, DESKTOP, 'dark');
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    const { paper, label } = await colours(page);
    expect(luminance(paper)).toBeGreaterThan(0.9);
    expect(contrast(label, paper)).toBeGreaterThanOrEqual(7);
    await page.close();
  });
});
