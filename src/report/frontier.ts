// frontier.html and frontier.svg from the record of a frontier: the table of all forms, and KL against bytes and against
// speed with the fronts joined. Forms are numbers in the pictures; their names are in the table and in the list.

import {
  drawFront,
  escapeHtml,
  FORM_MARKS,
  type FrontPoint,
  type Html,
  keyOfForms,
  list,
  markOfForm,
  note,
  PALETTE,
  page,
  type Row,
  section,
  table,
} from '../page/index.js';
import { CONTENDER_KINDS, type ContenderKind, type Frontier, readContender } from '../records/index.js';
import { describeStart, formatBytes, formatCount, frontierTable, nameFronts } from '../words/index.js';

const KINDS: Readonly<Record<ContenderKind, string>> = {
  dense: 'float32',
  plain: 'rounded one by one',
  gptq: 'GPTQ',
  stream: 'GPTQ that follows the dense stream',
  mixed: 'mixed widths',
  sparse: 'zeros and bits',
  gguf: 'llama.cpp’s types',
};

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderFrontier(frontier: Frontier): string {
  const { source, tool, texts, seed } = frontier;
  const name = escapeHtml(source.name);
  return page(`${name}: what is on the front`, tool.version, [
    `<header>\n<h1>${name} <span class="target">what is on the front</span></h1>
<p class="made">${source.blocks} blocks, ${escapeHtml(source.family)}; ${formatCount(texts.test.windows)} windows of ${texts.test.length} tokens of ${escapeHtml(texts.test.name)}${describeStart(texts.test.bos)}; seed ${seed}</p>\n</header>`,
    tableSection(frontier),
    pictureSection(frontier),
    chosenSection(frontier),
    textSection(frontier),
  ]);
}

function tableSection({ contenders, speeds }: Frontier): Html {
  const [head = [], ...rows] = frontierTable(contenders.map(readContender));
  const body = rows.map((cells, i): Row => {
    const [label, ...rest] = [...cells, ...head.slice(cells.length).map(() => '')].map(escapeHtml);
    const { form } = contenders[i]!;
    return { head: label!, cells: rest, chosen: form !== null && nameFronts(form.fronts) !== '' };
  });
  const measured = speeds
    ? ` Speeds are of one sequence on ${speeds.threads} threads, the median of ${speeds.turns} turns of ${speeds.tokens} tokens; they are this machine’s.`
    : '';
  return section(
    'forms',
    'Forms of the model',
    table('Forms of the model', head.map(escapeHtml), body),
    note(
      `A form is on a front if no other is at least as good on both axes and better on one; a difference of KL whose paired interval holds 0 is a tie. Lower perplexity and KL are better. “Over dense” is the interval of the perplexity ratio, paired over the windows.${measured}`,
    ),
  );
}

type Axis = 'bytes' | 'speed';

function pointsOf({ contenders }: Frontier, of: Axis): readonly FrontPoint[] {
  return contenders.flatMap((contender, i) => {
    const { form } = readContender(contender);
    const x = of === 'bytes' ? form && form.bytes / 1e6 : form?.tokensPerSecond;
    // The dense model is without loss: its point says nothing, and would widen the axis of bytes.
    if (!form || x === null || x === undefined || contender.kind === 'dense') return [];
    const front = of === 'bytes' ? form.fronts.bytes : form.fronts.speed === true;
    return [{ x, loss: form.divergence, number: i + 1, mark: FORM_MARKS[contender.kind], front }];
  });
}

const AXES: readonly (readonly [Axis, string])[] = [
  ['bytes', 'file, MB'],
  ['speed', 'tokens a second'],
];

const number = (x: number): string => String(Number(x.toPrecision(3)));

function pictures(frontier: Frontier): readonly (readonly [axis: Axis, svg: Html])[] {
  return AXES.flatMap(([of, quantity]) => {
    const points = pointsOf(frontier, of);
    if (points.length === 0) return [];
    const svg = drawFront(
      points,
      quantity,
      number,
      `KL to the dense model against ${quantity}, ${points.length} forms`,
    );
    return [[of, svg] as const];
  });
}

const kindsOf = ({ contenders }: Frontier): readonly ContenderKind[] =>
  CONTENDER_KINDS.filter((kind) => kind !== 'dense' && contenders.some((one) => one.kind === kind && one.form));

function pictureSection(frontier: Frontier): Html {
  const drawn = pictures(frontier);
  if (drawn.length === 0) return '';
  const key = keyOfForms(kindsOf(frontier).map((kind) => [kind, escapeHtml(KINDS[kind])]));
  const panels = drawn.map(
    ([of, svg]) =>
      `<div><figure>\n${svg}\n<figcaption>KL to the dense model, nats a token, against ${of === 'bytes' ? 'the bytes of the file: left and low is better' : 'speed: right and low is better'}. Filled marks are on the front; numbers are those of the table.</figcaption>\n</figure></div>`,
  );
  return section('fronts', 'The fronts', key, `<div class="panels">\n${panels.join('\n')}\n</div>`);
}

function chosenSection({ contenders }: Frontier): Html {
  const pairs = contenders.map(({ name, what, form, skipped }): readonly [Html, Html] => {
    const chosen = form?.chosen ? `: ${form.chosen}` : '';
    return [escapeHtml(name), escapeHtml(`${what}${chosen}${skipped === null ? '' : `; skipped`}`)];
  });
  return section('made', 'How each was made', list(pairs));
}

function textSection({ texts, source }: Frontier): Html {
  const describe = (text: Frontier['texts']['calibration']): Html | undefined =>
    text ? escapeHtml(`${text.name}, ${formatCount(text.windows)} windows of ${text.length} tokens`) : undefined;
  return section(
    'origin',
    'Texts and weights',
    list([
      ['scored on', describe(texts.test)],
      ['calibration', describe(texts.calibration)],
      ['validation', describe(texts.validation)],
      ...Object.entries(source.hashes).map(
        ([file, hash]) => [escapeHtml(file), escapeHtml(hash.slice(0, 16))] as const,
      ),
    ]),
  );
}

const WIDTH = 760;
const [CHART_WIDTH, CHART_HEIGHT] = [500, 290];
const LINE = 18;

/** The pictures as one SVG file with the list of forms beside them, for a README or a page of one’s own. */
export function frontierPicture(frontier: Frontier): string {
  const drawn = pictures(frontier);
  const { ink, quiet, paper } = PALETTE;
  const charts = drawn.map(([, html], i) => {
    const wide = html.split('\n').find((svg) => svg.includes('class="chart wide"')) ?? '';
    return wide.replace(
      /<svg class="chart wide"/,
      `<svg x="0" y="${i * CHART_HEIGHT}" width="${CHART_WIDTH}" height="${CHART_HEIGHT}"`,
    );
  });
  const lines = frontier.contenders.map((contender, i) => {
    const y = 24 + i * LINE;
    const { form } = contender;
    const on = form ? nameFronts(form.fronts) : 'skipped';
    const text = `${i + 1} ${contender.name}${form ? `, ${formatBytes(form.bytes)}` : ''}${on && ` (${on})`}`;
    const mark = `<g transform="translate(${CHART_WIDTH - 4} ${y - 11})">${markOfForm(contender.kind)}</g>`;
    return `${mark}<text x="${CHART_WIDTH + 24}" y="${y}" fill="${on && form ? ink.light : quiet.light}">${escapeHtml(text)}</text>`;
  });
  const height = Math.max(drawn.length * CHART_HEIGHT, 24 + lines.length * LINE);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12.5">
<rect width="100%" height="100%" fill="${paper.light}"/>
${[...charts, ...lines].join('\n')}
</svg>
`;
}
