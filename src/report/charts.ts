// The pictures, drawn by ECharts without a DOM and made fit for the page: colours become CSS variables, so that dark mode
// and print recolour them; each is drawn twice, wide and narrow, so that its text is legible on a phone; ids are numbered
// per page, so that equal records give equal bytes. The one file that knows ECharts.

import { CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, SVGRenderer]);

/** Colours that stand for CSS variables: --ink, --faint, --chosen, --uniform, --surrogate. */
const INK = '#010101';
const FAINT = '#020202';
const CHOSEN = '#030303';
const UNIFORM = '#040404';
const SURROGATE = '#050505';
const VARIABLES: Readonly<Record<string, string>> = {
  [INK]: 'var(--ink)',
  [FAINT]: 'var(--faint)',
  [CHOSEN]: 'var(--chosen)',
  [UNIFORM]: 'var(--uniform)',
  [SURROGATE]: 'var(--surrogate)',
};
const FONT = 15;

type Size = { readonly name: 'wide' | 'narrow'; readonly width: number; readonly height: number };
const SIZES: readonly Size[] = [
  { name: 'wide', width: 720, height: 360 },
  { name: 'narrow', width: 350, height: 300 },
];

/** Draws what `optionFor` gives for a width, at every size; `label` says in words what the picture shows. */
function draw(optionFor: (width: number) => EChartsCoreOption, label: string): string {
  return SIZES.map((size) => {
    const chart = init(null, null, { renderer: 'svg', ssr: true, width: size.width, height: size.height });
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: 'inherit', fontSize: FONT, color: INK },
      backgroundColor: 'transparent',
      ...optionFor(size.width),
    });
    const svg = chart.renderToSVGString();
    chart.dispose();
    return restyle(svg, size, label);
  }).join('');
}

let pictures = 0;
/** Starts the numbering of ids anew: called once per page. */
export function startPage(): void {
  pictures = 0;
}

function restyle(svg: string, { name, width, height }: Size, label: string): string {
  const picture = pictures++;
  const ids = new Map<string, string>();
  // Hover effects and their classes; the page has no pointer to serve.
  const still = svg.replaceAll(/<style\s*>[\s\S]*?<\/style>/g, '').replaceAll(/ class="zr[^"]*"/g, '');
  const renamed = still.replaceAll(/zr\d+-[a-z]+\d+/g, (id) => {
    if (!ids.has(id)) ids.set(id, `c${picture}-${ids.size}`);
    return ids.get(id)!;
  });
  const coloured = renamed
    .replaceAll(/#(0[1-5])\1\1/g, (colour) => VARIABLES[colour] ?? colour)
    .replaceAll(/rgb\(([1-5]), ?\1, ?\1\)/g, (_, digit: string) => VARIABLES[`#0${digit}0${digit}0${digit}`]!)
    // Presentation attributes cannot hold var(); style properties can, and an element has one style only.
    .replaceAll(/<[a-z]+ [^>]*"(?:var\()[^>]*>/g, moveColours);
  const open = `<svg class="${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">`;
  return coloured.replace(/<svg [^>]*>/, open);
}

function moveColours(tag: string): string {
  const moved: string[] = [];
  const bare = tag.replaceAll(/ (fill|stroke)="(var\([^"]+\))"/g, (_, property: string, value: string) => {
    moved.push(`${property}:${value}`);
    return '';
  });
  if (moved.length === 0) return tag;
  if (bare.includes(' style="')) return bare.replace(' style="', ` style="${moved.join(';')};`);
  return bare.replace(/ ?\/?>$/, (end) => ` style="${moved.join(';')}"${end.trim()}`);
}

const axisText = { color: INK, fontSize: FONT };
const lines = { lineStyle: { color: FAINT } };
const GRID = { left: 64, right: 20, top: 48, bottom: 54 };

const blockAxis = (blocks: number, width: number) => ({
  type: 'category' as const,
  data: Array.from({ length: blocks }, (_, i) => String(i)),
  name: 'block',
  nameLocation: 'middle' as const,
  nameGap: 32,
  nameTextStyle: axisText,
  axisLabel: { ...axisText, interval: Math.max(0, Math.ceil(blocks / (width / 45)) - 1) },
  axisLine: lines,
  axisTick: { show: false },
});
const valueAxis = (format: (value: number) => string) => ({
  type: 'value' as const,
  axisLabel: { ...axisText, formatter: format, hideOverlap: true },
  axisLine: { show: false },
  splitLine: lines,
});
const legend = (names: readonly string[]) => ({
  data: [...names],
  top: 4,
  left: 'center',
  textStyle: axisText,
  itemWidth: 28,
  itemGap: 26,
});
const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`;

const markerSize = (points: number): number => (points > 24 ? 4 : 8);

/** Sparsity of every block against the target. */
export function drawRates(rates: readonly number[], target: number): string {
  const named = { chosen: 'chosen', target: 'target' };
  return draw(
    (width) => ({
      grid: GRID,
      legend: legend(Object.values(named)),
      xAxis: blockAxis(rates.length, width),
      yAxis: { ...valueAxis(percent), scale: true },
      series: [
        {
          type: 'line',
          name: named.chosen,
          data: [...rates],
          symbol: 'circle',
          symbolSize: markerSize(rates.length),
          lineStyle: { color: CHOSEN, width: 2.5 },
          itemStyle: { color: CHOSEN },
        },
        {
          type: 'line',
          name: named.target,
          data: rates.map(() => target),
          symbol: 'none',
          lineStyle: { color: UNIFORM, type: 'dashed', width: 2 },
          itemStyle: { color: UNIFORM },
        },
      ],
    }),
    `Sparsity of each of ${rates.length} blocks; target ${percent(target)}`,
  );
}

/** Relative reconstruction error of every block's output. */
export function drawErrors(uniform: readonly number[] | undefined, chosen: readonly number[], name: string): string {
  const line = (label: string, data: readonly number[], color: string, dashed: boolean) => ({
    type: 'line',
    name: label,
    data: [...data],
    symbol: dashed ? 'rect' : 'circle',
    symbolSize: markerSize(data.length),
    lineStyle: { color, width: 2.5, type: dashed ? 'dashed' : 'solid' },
    itemStyle: { color },
  });
  const series = [...(uniform ? [line('uniform', uniform, UNIFORM, true)] : []), line(name, chosen, CHOSEN, false)];
  return draw(
    (width) => ({
      grid: GRID,
      legend: legend(series.map((one) => one.name)),
      xAxis: blockAxis(chosen.length, width),
      yAxis: { ...valueAxis((value) => value.toFixed(2)), scale: true },
      series,
    }),
    `Relative reconstruction error of the output of each of ${chosen.length} blocks`,
  );
}

export type Point = { readonly x: number; readonly ratio: number; readonly low: number; readonly high: number };

/** What the search tried: perplexity relative to uniform, with intervals. */
export function drawSearch(exact: readonly Point[], surrogate: readonly Point[], chosen: Point | undefined): string {
  const bars = (points: readonly Point[], color: string) => ({
    type: 'custom',
    silent: true,
    encode: { x: 0, y: [1, 2] },
    data: points.map(({ x, low, high }) => [x, low, high]),
    renderItem: (_: unknown, api: { value(i: number): number; coord(point: number[]): number[] }) => {
      const [x, y1] = api.coord([api.value(0), api.value(1)]) as [number, number];
      const [, y2] = api.coord([api.value(0), api.value(2)]) as [number, number];
      const stroke = (x1: number, ya: number, x2: number, yb: number) => ({
        type: 'line',
        shape: { x1, y1: ya, x2, y2: yb },
        style: { stroke: color, lineWidth: 2 },
      });
      return {
        type: 'group',
        children: [stroke(x, y1, x, y2), stroke(x - 5, y1, x + 5, y1), stroke(x - 5, y2, x + 5, y2)],
      };
    },
  });
  const marks = (name: string, points: readonly Point[], color: string, symbol: string, size: number) => ({
    type: 'scatter',
    name,
    data: points.map(({ x, ratio }) => [x, ratio]),
    symbol,
    symbolSize: size,
    itemStyle: { color, borderColor: color },
    z: 3,
  });
  const ring = (name: string, { x, ratio }: Point) => ({
    type: 'scatter',
    name,
    data: [[x, ratio]],
    symbol: 'circle',
    symbolSize: 22,
    itemStyle: { color: 'transparent', borderColor: INK, borderWidth: 2 },
  });
  const series = [
    bars(surrogate, SURROGATE),
    bars(exact, CHOSEN),
    marks('surrogate', surrogate, SURROGATE, 'triangle', 9),
    marks('exact trial', exact, CHOSEN, 'circle', 11),
    ...(chosen ? [ring('chosen', chosen)] : []),
  ];
  return draw(
    () => ({
      grid: GRID,
      legend: legend(['surrogate', 'exact trial', ...(chosen ? ['chosen'] : [])]),
      xAxis: {
        ...valueAxis((value) => String(Number(value.toPrecision(3)))),
        name: 'β',
        nameLocation: 'middle',
        nameGap: 32,
        nameTextStyle: axisText,
        splitLine: { show: false },
        axisLine: { show: true, ...lines },
      },
      yAxis: {
        ...valueAxis((value) => value.toFixed(2)),
        scale: true,
      },
      series,
    }),
    'Validation perplexity relative to uniform against β',
  );
}
