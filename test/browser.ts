// The system's own Chromium, for tests that look at a page as a person does. Where there is none, the reason.

import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

/** With these a page has `navigator.gpu` on a machine without a GPU. */
export const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Starts the browser, or says why there is none. LAYERWISE_CHROMIUM names one that lies elsewhere. */
export async function startBrowser(
  flags: readonly string[] = [],
): Promise<{ readonly browser: Browser } | { readonly reason: string }> {
  const path = [process.env.LAYERWISE_CHROMIUM ?? '', ...PLACES].find((place) => place !== '' && existsSync(place));
  if (path === undefined) return { reason: `no Chromium in ${PLACES.join(', ')} or LAYERWISE_CHROMIUM` };
  return {
    browser: await chromium.launch({
      executablePath: path,
      args: [...FLAGS, '--disable-component-update', '--disable-sync', ...flags],
    }),
  };
}
