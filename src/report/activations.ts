// report.html of quantised weights and activations, from its record: what it costs, which layers were searched together and what
// stayed of it, the clips, and the command.

import { escapeHtml, type Html, note, page, type Row, section, table } from '../page/index.js';
import { type ActivationsRecord, pairedInterval } from '../records/index.js';
import { formatNats, formatPerplexity } from '../words/index.js';
import { shortOrigin, textsTable } from './sections/origin.js';

const MODELS = {
  dense: 'dense',
  weights: 'weights rounded, activations not',
  minmax: 'no clips',
  greedy: 'greedy clips',
  joint: 'joint clips, all of them',
  chosen: 'chosen',
} as const;

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderActivations(record: ActivationsRecord): string {
  const { source, tool, bits, texts } = record;
  const name = escapeHtml(source.name);
  const width = `W${bits.weights}A${bits.activations}`;
  return page(`${name}: ${width}`, tool.version, [
    `<header>\n<h1>${name} <span class="target">${width}</span></h1>
<p class="made">Weights rounded row by row, the inputs of linears ${record.range === 'token' ? 'token by token' : 'over one range for all tokens'} · ${source.blocks} blocks, ${escapeHtml(source.family)}</p>\n</header>`,
    scoreSection(record),
    stretchSection(record),
    clipSection(record),
    section('texts', 'Texts', textsTable(texts)),
    shortOrigin(record, [
      ['engine', escapeHtml(tool.engine)],
      ['seed', String(record.seed)],
    ]),
  ]);
}

function scoreSection({ scores }: ActivationsRecord): Html {
  const rows = (Object.keys(MODELS) as (keyof typeof MODELS)[]).map((name): Row => {
    const { validation, test } = scores[name];
    const judge = test ? 'test' : 'validation';
    const [low, high] = pairedInterval(scores[name][judge]!.nll, scores.minmax[judge]!.nll);
    const cells = [formatPerplexity(validation.perplexity), formatPerplexity(test?.perplexity)];
    const ratio = name === 'minmax' ? '–' : `${low.toFixed(4)} – ${high.toFixed(4)}`;
    return { head: MODELS[name], cells: [...cells, ratio], chosen: name === 'chosen' };
  });
  return section(
    'scores',
    'What it costs',
    table('Scores', ['perplexity', 'validation', 'test', 'times that without clips, 95 %'], rows),
    note(
      'Weights and activations are fake-quantised: numbers on few levels, computed in float32. The checkpoint beside this page has the rounded weights; how activations are rounded is in layerwise.json alone, which <code>layerwise evaluate</code> obeys. Other programs see the second row.',
    ),
  );
}

function stretchSection({ stretches, layers, dependency, threshold, base, together, grid }: ActivationsRecord): Html {
  const nameOf = (layer: number): string => `${layers[layer]!.block} ${layers[layer]!.name}`;
  const rows = stretches.map(
    ({ from, to, clips, loss, kept, validation }): Row => ({
      head: escapeHtml(to - from === 1 ? nameOf(from) : `${nameOf(from)} – ${nameOf(to - 1)}`),
      cells: [
        clips.join(', '),
        ...[loss.plain, loss.greedy, loss.joint].map((value) => value.toPrecision(4)),
        validation === null ? 'as before' : formatNats(validation),
        kept ? 'kept' : '–',
      ],
      chosen: kept,
    }),
  );
  const how = {
    entropy: 'entropy of the residual',
    measured: 'measured gain of pairs',
    fixed: 'three at a time',
  }[dependency];
  const above = threshold === null ? '' : `, above ${threshold.toPrecision(4)}`;
  return section(
    'stretches',
    'Layers searched together',
    table('Layers', ['', 'joint clips', 'error without', 'greedy', 'joint', 'validation loss with them', ''], rows),
    note(
      `${how}${above}; clips among ${grid.join(', ')}. Errors are squared distances from the dense residual on calibration text. The choice began with ${MODELS[base]}; joint clips stay where they lower the model’s loss on validation text.${together ? ' All of them together were better still.' : ''}`,
    ),
  );
}

function clipSection({ layers }: ActivationsRecord): Html {
  const names = [...new Set(layers.map(({ name }) => name))];
  const blocks = [...new Set(layers.map(({ block }) => block))];
  const clipAt = (block: number, name: string): string =>
    String(layers.find((layer) => layer.block === block && layer.name === name)?.clip ?? '–');
  const rows = blocks.map((block): Row => ({ head: String(block), cells: names.map((name) => clipAt(block, name)) }));
  return section('clips', 'Clips', table('Clips', ['block', ...names.map(escapeHtml)], rows));
}
