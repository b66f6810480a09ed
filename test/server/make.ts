// A server on a free port, with the demo's tokenizer and a decoder without a model.

import { fileURLToPath } from 'node:url';
import type { DecoderInfo } from '../../src/decoder/index.js';
import { createChatTemplate, folderTexts, loadLanguage, type OpenedDecoder } from '../../src/generation/index.js';
import { type RunningServer, type ServerSettings, startServer } from '../../src/server/index.js';
import { createFakeDecoder, type FakeDecoder } from '../generation/fake-decoder.js';

export const language = await loadLanguage(folderTexts(fileURLToPath(new URL('../../demo/model', import.meta.url))));

/** Prints roles as words; refuses a first word of the assistant's. */
const TEMPLATE = `{{ bos_token }}{% if messages[0].role == 'assistant' %}{{ raise_exception('the user speaks first') }}{% endif %}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}`;

export type Made = {
  readonly server: RunningServer;
  readonly decoder: FakeDecoder;
  readonly model: OpenedDecoder;
  /** The answer to a POST of JSON, or of a text as it is. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  get(path: string, init?: RequestInit): Promise<Response>;
};

type Options = Partial<ServerSettings> & {
  /** Whether there is a chat template, or which. */
  readonly chat?: boolean | string;
  readonly info?: Partial<DecoderInfo>;
  /** Milliseconds a step takes. */
  readonly delay?: number;
};

export function makeModel({ chat = true, info, delay }: Pick<Options, 'chat' | 'info' | 'delay'> = {}) {
  const decoder = createFakeDecoder({
    ...{ vocabulary: 768, maxPositions: 256, sequences: 4 },
    ...info,
    ...(delay === undefined ? {} : { delay }),
  });
  const words = { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' };
  const file = chat === true ? TEMPLATE : chat === false ? undefined : chat;
  const chatTemplate = createChatTemplate({ file, config: undefined }, words, 'test');
  return { decoder, model: Object.assign(decoder, { ...language, chatTemplate }) satisfies OpenedDecoder };
}

export async function makeServer(options: Options = {}): Promise<Made> {
  const { chat, info, delay, ...settings } = options;
  const { decoder, model } = makeModel({
    ...(chat === undefined ? {} : { chat }),
    ...(info === undefined ? {} : { info }),
    ...(delay === undefined ? {} : { delay }),
  });
  const server = await startServer(model, {
    ...{ name: 'demo', host: '127.0.0.1', port: 0, apiKey: undefined },
    ...{ queue: 16, bodyBytes: 1 << 20, timeout: 60, grace: 5, seed: 0 },
    ...settings,
  });
  return {
    ...{ server, decoder, model },
    post: (path, body, init = {}) =>
      fetch(server.url + path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', ...init.headers },
      }),
    get: (path, init) => fetch(server.url + path, init),
  };
}
