import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CompletionPiece,
  complete,
  createScheduler,
  folderTexts,
  generateText,
  loadLanguage,
} from '../../src/generation/index.js';
import { runs } from '../scale.js';
import { createFakeDecoder } from './fake-decoder.js';

const language = await loadLanguage(folderTexts(fileURLToPath(new URL('../../demo/model', import.meta.url))));
const { tokenizer } = language;
const V = 768;

describe('complete', () => {
  test('the pieces are the text, their tokens the tokens, and stop strings only shorten', async () => {
    const scheduler = createScheduler(createFakeDecoder({ vocabulary: V, maxPositions: 128 }));
    const run = async (prompt: readonly number[], seed: number, stops: readonly string[]) => {
      const pieces: CompletionPiece[] = [];
      const [done] = complete(scheduler, tokenizer, [
        {
          ...{ prompt, stops, maxTokens: 30, stopTokens: new Set<number>(), scores: 1 },
          sampling: { temperature: 1, topP: 1, seed },
          onPiece: (piece) => pieces.push(piece),
        },
      ]);
      return { ...(await done!), pieces };
    };
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: V - 1 }), fc.nat(), fc.nat({ max: 80 }), fc.nat({ max: 4 }), async (...random) => {
        const [token, seed, start, length] = random;
        const whole = await run([token], seed, []);
        expect(whole.text).toBe(
          tokenizer
            .decode([token, ...whole.tokens.map((one) => one.token)])
            .slice(tokenizer.decode([token]).replace(/\ufffd$/, '').length),
        );
        expect(whole).toMatchObject({ finish: 'length', generated: 30 });
        const stop = whole.text.slice(start, start + length + 1);
        const cut = stop === '' ? whole : await run([token], seed, [stop]);
        const end = stop === '' ? whole.text.length : whole.text.indexOf(stop);
        expect(cut.text).toBe(whole.text.slice(0, end));
        expect(cut.finish).toBe(stop === '' ? 'length' : 'stop');
        expect(cut.tokens).toEqual(whole.tokens.slice(0, cut.tokens.length));
        for (const one of [whole, cut]) {
          expect(one.pieces.map(({ text }) => text).join('')).toBe(one.text);
          expect(one.pieces.flatMap(({ tokens }) => tokens)).toEqual(one.tokens);
          for (const { offset } of one.tokens) expect(offset).toBeLessThanOrEqual(one.text.length);
        }
      }),
      { numRuns: runs(60) },
    );
  });
});

describe('generateText', () => {
  const open = () => Object.assign(createFakeDecoder({ vocabulary: V, maxPositions: 64, sequences: 1 }), language);
  const greedy = { temperature: 0, topP: 1, seed: 0 };

  test('streams what it returns, counts, and leaves the decoder free', async () => {
    const model = open();
    let text = '';
    const request = {
      prompt: 'Once',
      maxTokens: 20,
      sampling: greedy,
      onText: (piece: string) => {
        text += piece;
      },
    };
    const done = await generateText(model, request);
    expect(done).toMatchObject({ text, finish: 'length', promptTokens: tokenizer.encode('Once').length, tokens: 20 });
    expect(done.tokensPerSecond).toBeGreaterThan(0);
    expect(model.openCount).toBe(0);
    expect((await generateText(model, { ...request, prompt: '' })).promptTokens).toBe(1);
  });

  test('more than the model has positions for is refused with the number', async () => {
    await expect(generateText(open(), { prompt: '', maxTokens: 64, sampling: greedy })).rejects.toMatchObject({
      code: 'E_OPTION_MAX_TOKENS',
      message: expect.stringMatching(/at most 63 .* got 64/),
    });
  });

  test('is cancelled by its signal', async () => {
    const controller = new AbortController();
    const request = { prompt: '', maxTokens: 60, sampling: greedy, signal: controller.signal };
    const done = generateText(open(), { ...request, onText: () => controller.abort(new Error('enough')) });
    await expect(done).rejects.toThrow('enough');
  });
});
