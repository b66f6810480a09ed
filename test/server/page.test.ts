/// <reference lib="dom" />

// The page at `/` in a real browser: as a completion, as a conversation, on a phone, in the dark, with a key.

import type { Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { startBrowser } from '../browser.js';
import { type Made, makeServer } from './make.js';

const started = await startBrowser();
if ('reason' in started) console.warn(`skipped: the page in a browser (${started.reason})`);

const open: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const one of open) await one.close();
  if ('browser' in started) await started.browser.close();
});

const PHONE = { width: 360, height: 740 };

describe.skipIf('reason' in started)('the page in a browser', () => {
  async function visit(options: Parameters<typeof makeServer>[0], colorScheme: 'light' | 'dark' = 'light') {
    if (!('browser' in started)) throw new Error(started.reason);
    const made = await makeServer(options);
    const page = await started.browser.newPage({ viewport: PHONE, colorScheme });
    const trouble: string[] = [];
    page.on('console', (message) => trouble.push(message.text()));
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith(made.server.url) && !request.url().startsWith('data:')) trouble.push(request.url());
    });
    await page.goto(made.server.url);
    open.push({
      close: async () => {
        await page.close();
        await made.server.stop(0);
      },
    });
    return { made, page, trouble };
  }

  const textOf = (page: Page): Promise<string | null> => page.locator('#output').textContent();
  const answerOf = async ({ post }: Made, path: string, body: object) => (await post(path, body)).json();

  test('continues a text, as it comes, and says how fast', async () => {
    const { made, page, trouble } = await visit({ chat: false, delay: 5 });
    await page.fill('#prompt', 'Once upon <b>a</b> time');
    await page.fill('#tokens', '30');
    await page.fill('#seed', '3');
    await page.click('#go');
    await page.waitForFunction(() => document.querySelector('#output')!.textContent!.length > 30);
    expect(await page.locator('#go').isDisabled()).toBe(true);
    await page.waitForFunction(() => /tokens\/s/.test(document.querySelector('#status')!.textContent!));
    const { choices } = await answerOf(made, '/v1/completions', {
      ...{ prompt: 'Once upon <b>a</b> time', max_tokens: 30, seed: 3, temperature: 0.8, top_p: 0.95 },
    });
    const shown = await page.evaluate(() => document.querySelector('#output')!.textContent);
    expect(shown).toBe(`Once upon <b>a</b> time${choices[0].text}`);
    expect(await page.locator('#output b').count()).toBe(0);
    expect(await page.locator('#status').textContent()).toMatch(
      /^30 tokens, [\d.]+ tokens\/s; there may be more to say$/,
    );
    expect(trouble).toEqual([]);
  });

  test('stops when told to, and the server with it', async () => {
    const { made, page } = await visit({ chat: false, delay: 20 });
    await page.fill('#prompt', 'A');
    await page.fill('#tokens', '200');
    await page.press('#prompt', 'Control+Enter');
    await page.waitForFunction(() => document.querySelector('#output')!.textContent!.length > 3);
    await page.click('#stop');
    await page.waitForFunction(() => document.querySelector('#status')!.textContent === 'Stopped.');
    expect(await page.locator('#stop').isVisible()).toBe(false);
    for (;;) {
      const metrics = await (await made.get('/metrics')).text();
      if (/outcome="cancelled"\} 1/.test(metrics) && /^layerwise_running_sequences 0$/m.test(metrics)) break;
    }
  });

  test('talks: the second message knows of the first', async () => {
    const { made, page, trouble } = await visit({ chat: true });
    await page.fill('#tokens', '5');
    await page.fill('#temperature', '0');
    for (const message of ['Hello', 'And then?']) {
      await page.fill('#prompt', message);
      await page.click('#go');
      await page.waitForFunction(() => !(document.querySelector('#go') as HTMLButtonElement).disabled);
    }
    const ask = async (messages: object[]): Promise<string> =>
      (await answerOf(made, '/v1/chat/completions', { messages, max_tokens: 5, temperature: 0 })).choices[0].message
        .content;
    const first = await ask([{ role: 'user', content: 'Hello' }]);
    const second = await ask([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: first },
      { role: 'user', content: 'And then?' },
    ]);
    const shown = await page.evaluate(() => document.querySelector('#output')!.textContent);
    expect(shown).toBe(`Hello\n${first}\nAnd then?\n${second}\n`);
    await page.click('#clear');
    expect(await textOf(page)).toBe('');
    expect(trouble).toEqual([]);
  });

  test('asks for the key when there is one, and tells errors', async () => {
    const { page } = await visit({ chat: false, apiKey: 'secret' });
    expect(await page.locator('#key').isVisible()).toBe(false);
    await page.fill('#prompt', 'A');
    await page.click('#go');
    await page.waitForSelector('#key', { state: 'visible' });
    expect(await page.locator('#status').textContent()).toMatch(/Authorization/);
    await page.fill('#key', 'secret');
    await page.fill('#tokens', '1000');
    await page.click('#go');
    await page.waitForFunction(() => /maximum context length/.test(document.querySelector('#status')!.textContent!));
    await page.fill('#tokens', '3');
    await page.click('#go');
    await page.waitForFunction(() => /^3 tokens/.test(document.querySelector('#status')!.textContent!));
  });

  test.each(['light', 'dark'] as const)('%s: fits a phone, and text stands out', async (scheme) => {
    const { page } = await visit(
      { chat: true, name: 'a-model-with-a-very-long-name-that-has-no-spaces-in-it' },
      scheme,
    );
    expect(await page.evaluate(() => document.scrollingElement!.scrollWidth)).toBeLessThanOrEqual(PHONE.width);
    const { paper, colours } = await page.evaluate(() => {
      const of = (selector: string) => getComputedStyle(document.querySelector(selector)!);
      return {
        paper: of('body').backgroundColor,
        colours: ['body', 'label', '#status', 'h1 small', 'button.plain'].map((one) => of(one).color),
      };
    });
    const channels = (colour: string) =>
      colour
        .match(/[\d.]+/g)!
        .slice(0, 3)
        .map(Number);
    const luminance = (colour: string): number => {
      const [r, g, b] = channels(colour).map((c) =>
        c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
    };
    expect(luminance(paper) < 0.05).toBe(scheme === 'dark');
    for (const colour of colours) {
      const [low, high] = [luminance(colour), luminance(paper)].sort((a, b) => a - b);
      expect((high! + 0.05) / (low! + 0.05)).toBeGreaterThanOrEqual(4.5);
    }
    for (const id of ['prompt', 'tokens', 'temperature', 'top-p', 'seed']) {
      expect(await page.locator(`label:has(#${id})`).count()).toBe(1); // each field has a name
    }
  });
});
