// Settings of the Hub from environment variables, with the names and defaults that Hugging Face’s Python library documents,
// so that one setting works for both: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE,
// HF_HUB_DISABLE_SYMLINKS, HF_HUB_DOWNLOAD_TIMEOUT. One default differs: the timeout is 30 s of silence, not 10.

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { OptionError } from '../base/index.js';

export type HubSettings = {
  /** Address of the Hub, without a slash at the end. */
  readonly endpoint: string;
  readonly cacheDir: string;
  readonly token: string | undefined;
  /** No network requests. */
  readonly offline: boolean;
  /** Whether snapshots link to blobs; if not, they hold the files themselves. */
  readonly links: boolean;
  /** Milliseconds of silence after which a connection counts as lost. */
  readonly timeout: number;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws OptionError E_OPTION_HF_ENDPOINT, E_OPTION_HF_TOKEN, E_OPTION_HF_HUB_DOWNLOAD_TIMEOUT */
export function readHubSettings(environment: Environment = process.env): HubSettings {
  const read = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const home = expand(read('HF_HOME') ?? join(read('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'));
  const seconds = Number(read('HF_HUB_DOWNLOAD_TIMEOUT') ?? 30);
  if (!(seconds > 0)) refuse('HF_HUB_DOWNLOAD_TIMEOUT', 'a number of seconds', read('HF_HUB_DOWNLOAD_TIMEOUT'));
  return {
    endpoint: endpointOf(read('HF_ENDPOINT') ?? 'https://huggingface.co'),
    cacheDir: expand(read('HF_HUB_CACHE') ?? read('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub')),
    token: tokenOf(
      read('HF_TOKEN') ??
        read('HUGGING_FACE_HUB_TOKEN') ??
        fileText(expand(read('HF_TOKEN_PATH') ?? join(home, 'token'))),
    ),
    offline: isTrue(read('HF_HUB_OFFLINE') ?? read('TRANSFORMERS_OFFLINE')),
    links: !isTrue(read('HF_HUB_DISABLE_SYMLINKS')),
    timeout: 1000 * seconds,
  };
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '');

const expand = (path: string): string => path.replace(/^~(?=$|[\\/])/, homedir());

function endpointOf(text: string): string {
  const url = parse(text);
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.search) return text.replace(/\/+$/, '');
  return refuse('HF_ENDPOINT', 'an address such as https://huggingface.co', text);
}

function parse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** A token goes into a header, so it must be one printable word; it is never shown. */
function tokenOf(text: string | undefined): string | undefined {
  if (text === undefined || /^[\x21-\x7e]+$/.test(text)) return text;
  return refuse('HF_TOKEN', 'one word without spaces', `${text.length} characters with others among them`);
}

function fileText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined; // not logged in
  }
}

function refuse(name: string, expected: string, got: string | undefined): never {
  throw new OptionError(`E_OPTION_${name}`, `${name}: expected ${expected}, got ${JSON.stringify(got)}.`, {
    option: name,
  });
}
