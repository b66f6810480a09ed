// npm run results:depth: what a removal of blocks costs, by the way it is made good: perplexity on validation text, the share of the
// excess that is left, and for the way that validation chose and the plain removals, test text once, with paired intervals.
// Nothing is written; the tables go to stdout as markdown.
//   npm run results:depth -- <checkpoint> --calibration … --validation … --test … --removed "shortgpt=4,6,8;angular=6,7,8"
//     [--greedy 3: chooses that many blocks by --method repaired, on the first --choose windows of validation text]

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silent, withResources } from '#src/base';
import { createOrtEngine } from '#src/engine';
import { summarise } from '#src/evaluate';
import { openModel } from '#src/model';
import { memoryShelf, type RepairWay, repairSeams, scoreKept } from '#src/pipeline';
import { seamsOf } from '#src/plan';
import { pairedInterval } from '#src/records';
import { prepareText } from '#src/runs';
import { removeGreedily } from '#src/search';
import { embedSamples, scoringOf } from '#src/stream';
import { loadTokenizer, type Windows } from '#src/text';
import { markdown } from './lines.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    calibration: { type: 'string' },
    validation: { type: 'string' },
    test: { type: 'string' },
    removed: { type: 'string', default: '' },
    greedy: { type: 'string' },
    choose: { type: 'string', default: '64' },
    samples: { type: 'string', default: '128' },
    length: { type: 'string', default: '256' },
    threads: { type: 'string', default: '2' },
  },
});
const [checkpoint] = positionals;
const { calibration, validation, test } = values;
if (!checkpoint || !calibration || !validation || !test) {
  throw new Error(
    'usage: npm run results:depth -- <checkpoint> --calibration <text> --validation <text> --test <text>',
  );
}

const BARE = { merge: false, fit: false, follow: undefined };
const stream = (share: number) => ({ alpha: share, gamma: share });
const WAYS: Readonly<Record<string, RepairWay | undefined>> = {
  'as it is': undefined,
  'repair linear': { ...BARE, fit: true },
  'repair stream, ½': { ...BARE, fit: true, follow: stream(0.5) },
  'repair stream': { ...BARE, fit: true, follow: stream(1) },
  merge: { ...BARE, merge: true },
  'merge, linear': { ...BARE, merge: true, fit: true },
  'merge, stream, ½': { merge: true, fit: true, follow: stream(0.5) },
  'merge, stream': { merge: true, fit: true, follow: stream(1) },
};

await withResources(async (own) => {
  const engine = await own(createOrtEngine({ device: 'cpu', workers: Number(values.threads), threads: 1 }));
  const model = await openModel(checkpoint);
  const tokenizer = await loadTokenizer(checkpoint);
  const textOf = async (role: 'calibration' | 'validation' | 'test', path: string, count?: number) => {
    const windowing = { length: Number(values.length), start: undefined, seed: 0, onProgress: silent };
    const common = { path, role, ...windowing };
    const { content } = await prepareText(
      model,
      tokenizer,
      count === undefined ? { ...common, order: 'all' } : { ...common, order: 'random', count },
    );
    return content;
  };
  const embed = (content: Windows) => embedSamples(own, engine, model, content);
  const held = await textOf('validation', validation);
  const text = {
    calibration: await embed(await textOf('calibration', calibration, Number(values.samples))),
    choose: await embed({ ...held, windows: held.windows.slice(0, Number(values.choose)) }),
    validation: await embed(held),
  };
  const L = model.config.blocks;
  const lossOf = async (removed: readonly number[], way: RepairWay | undefined, on: typeof text.choose) => {
    const gone = new Set(removed);
    const shelf = memoryShelf(model, join(tmpdir(), 'layerwise-depth'));
    const options = { engine, model, seams: seamsOf(L, gone), text: text.calibration, shelf, onProgress: silent };
    if (way) await repairSeams({ ...options, way });
    return await scoreKept(engine, model, gone, on, shelf);
  };
  const perplexity = (nll: readonly number[]): number => summarise(nll, scoringOf(held)).perplexity;

  const choices = new Map(
    values.removed.split(';').flatMap((one) => {
      const [name, list] = one.split('=');
      return name && list ? [[name, list.split(',').map(Number)] as const] : [];
    }),
  );
  for (const [name, way] of values.greedy ? Object.entries(WAYS) : []) {
    if (!way?.fit || way.follow) continue;
    const { order } = await removeGreedily(L, Number(values.greedy), async (left) => {
      const scores: number[] = [];
      for (const block of left) {
        const removed = Array.from({ length: L }, (_, i) => i).filter((i) => i === block || !left.includes(i));
        scores.push(perplexity(await lossOf(removed, way, text.choose)));
      }
      return scores;
    });
    choices.set(
      `repaired by ${name}`,
      [...order].sort((a, b) => a - b),
    );
  }
  const dense = perplexity(await lossOf([], undefined, text.validation));
  const rows = [['', ...[...choices].map(([name, removed]) => `${name}: ${removed.join(', ')}`)]];
  let best: { perplexity: number; removed: readonly number[]; way: string } | undefined;
  const plain = new Map<string, number>();
  for (const [way, how] of Object.entries(WAYS)) {
    const row = [way];
    for (const [name, removed] of choices) {
      const found = perplexity(await lossOf(removed, how, text.validation));
      if (!how) plain.set(name, found);
      if (!best || found < best.perplexity) best = { perplexity: found, removed, way };
      const share = (found - dense) / (plain.get(name)! - dense);
      row.push(how ? `${found.toFixed(2)} (${(100 * share).toFixed(0)} %)` : found.toFixed(2));
      console.error(way, name, removed.join(','), row.at(-1));
    }
    rows.push(row);
  }
  console.log(
    `Validation perplexity, dense ${dense.toFixed(2)}; the share of the excess that is left\n\n${markdown(rows)}\n`,
  );

  const onTest = await embed(await textOf('test', test));
  const [least] = [...plain].sort(([, a], [, b]) => a - b)[0]!;
  const lines: readonly (readonly [string, readonly number[], string])[] = [
    ['dense', [], 'as it is'],
    [`${least}, as it is`, choices.get(least)!, 'as it is'],
    [`${least}, repair linear`, choices.get(least)!, 'repair linear'],
    [`chosen: ${best!.way}`, best!.removed, best!.way],
  ];
  const base: number[][] = [];
  const table = [['', 'removed', 'test perplexity', 'ratio to dense (95 %)', 'ratio to as it is (95 %)']];
  for (const [name, removed, way] of lines) {
    const nll = await lossOf(removed, WAYS[way], onTest);
    base.push(nll);
    const ratio = (to: readonly number[] | undefined): string => {
      if (!to || to === nll) return '';
      const [low, high] = pairedInterval(nll, to);
      return `${(perplexity(nll) / perplexity(to)).toFixed(4)} (${low.toFixed(4)} … ${high.toFixed(4)})`;
    };
    table.push([name, removed.join(', '), perplexity(nll).toFixed(2), ratio(base[0]), ratio(base[1])]);
  }
  console.log(markdown(table));
});
