// What may be said of a URL with a password: everything else.

import { messageOf, OptionError } from '../base/index.js';

export const POSTGRES: readonly string[] = ['postgres:', 'postgresql:'];
const PROTOCOLS = ['redis:', 'rediss:', ...POSTGRES];

/** A URL as messages and records show it: without user, password and parameters. */
export function nameUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/** Parses the URL of a queue, which may hold a password; the message of a failure does not show it. @throws OptionError E_OPTION_QUEUE */
export function parseUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const known = parsed && PROTOCOLS.includes(parsed.protocol) ? parsed : undefined;
  if (known?.host) return known;
  throw new OptionError(
    'E_OPTION_QUEUE',
    `--queue: expected a URL that begins with ${PROTOCOLS.map((one) => `${one}//`).join(', ')} and names a host, such as redis://127.0.0.1:6379/0. (What was given is not shown: it may hold a password.)`,
    { option: 'queue' },
  );
}

/** The message of an error of a client library, without the password of `url`, as given and as decoded. */
export function messageWithout(error: unknown, url: string): string {
  const { password } = new URL(url);
  const secrets = [url, password, decodeURIComponent(password)].filter((one) => one !== '');
  return secrets.reduce((text, secret) => text.replaceAll(secret, '***'), messageOf(error));
}
