// The charts, drawn by ECharts without a DOM; only this file knows ECharts. Each chart is drawn twice, wide and narrow,
// because the text of a wide picture is too small on a phone; the style sheet shows one of them. Everything that ECharts
// numbers by global counters is removed, so that equal records give equal bytes. No text of a record enters a picture, only
// numbers.

import { BarChart, CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { formatNumber } from '../words/index.js';
import { escapeHtml, type Html } from './html.js';
import { lineStyle, PALETTE } from './palette.js';

use([BarChart, CustomChart, LineChart, ScatterChart, GridComponent, SVGRenderer]);

const { ink, quiet, axis, rule, chosen, uniform, surrogate, paper } = PALETTE;

type Size = { readonly name: 'wide' | 'narrow'; readonly width: number; readonly height: number };
const SIZES: readonly Size[] = [
  { name: 'wide', width: 500, height: 290 },
  { name: 'narrow', width: 330, height: 260 },
];
const GRID = { left: 52, right: 12, top: 14, bottom: 44, outerBoundsMode: 'none' };
const TEXT = { fontFamily: 'inherit', fontSize: 12.5, color: quiet.light };

function draw(optionOf: (size: Size) => EChartsCoreOption, label: string): Html {
  return SIZES.map((size) => {
    const chart = init(null, null, { renderer: 'svg', ssr: true, width: size.width, height: size.height });
    try {
      chart.setOption({ animation: false, textStyle: TEXT, grid: GRID, ...optionOf(size) });
      return restyle(chart.renderToSVGString(), size, label);
    } finally {
      chart.dispose();
    }
  }).join('\n');
}

/** Removes ECharts’ metadata, what it numbers (classes, clip paths without effect) and the size in pixels. */
function restyle(svg: string, { name, width, height }: Size, label: string): string {
  const open = `<svg class="chart ${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">`;
  return svg
    .replaceAll(/ (?:ecmeta_\w+|class|pointer-events|clip-path)="[^"]*"/g, '')
    .replaceAll(/<(style|defs)[^>]*>[\s\S]*?<\/\1>/g, '')
    .replace(/<svg [^>]*>/, open)
    .replaceAll(/\n+/g, '');
}

const blockAxis = (blocks: number, { width }: Size) => {
  const step = blockStep(blocks, width - GRID.left - GRID.right);
  return {
    type: 'category',
    data: Array.from({ length: blocks }, (_, i) => String(i)),
    name: 'block',
    nameLocation: 'middle',
    nameGap: 28,
    nameTextStyle: TEXT,
    axisLabel: { ...TEXT, interval: (index: number) => index % step === 0 },
    axisLine: { onZero: false, lineStyle: { color: axis.light } },
    axisTick: { show: false },
  };
};

const valueAxis = (format: (value: number) => string) => ({
  type: 'value',
  scale: true,
  splitNumber: 5,
  axisLabel: { ...TEXT, formatter: format },
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: rule.light } },
});

const extent = ({ min, max, interval }: Scale) => ({ min, max, interval });

const still = { silent: true, clip: false, emphasis: { disabled: true } };
const dashed = (color: string, width: number) => ({ color, width, type: [5, 4] });

/** Bars from the target to the sparsity of each block; a dot where the bar is too short to be seen. */
export function drawSparsity(rates: readonly number[], target: number, label: string): Html {
  // A uniform plan has no spread of its own; a scale of two points keeps rounding from looking like a difference.
  const low = Math.max(0, Math.min(target - 0.01, ...rates));
  const high = Math.min(1, Math.max(target + 0.01, ...rates));
  const scale = scaleOf(low, high);
  const visible = (scale.max - scale.min) * 0.015;
  const { decimals } = scaleOf(100 * low, 100 * high);
  const percent = (share: number): string => `${(100 * share).toFixed(decimals)} %`;
  return draw(
    (size) => ({
      xAxis: blockAxis(rates.length, size),
      yAxis: { ...valueAxis(percent), ...extent(scale), startValue: target },
      series: [
        {
          ...still,
          type: 'bar',
          data: [...rates],
          barCategoryGap: rates.length > 40 ? '15%' : '30%',
          barMaxWidth: 48,
          itemStyle: { color: chosen.light },
        },
        {
          ...still,
          type: 'line',
          data: rates.map(() => target),
          symbol: 'none',
          lineStyle: dashed(axis.light, 1.5),
        },
        {
          ...still,
          type: 'scatter',
          data: rates.map((rate) => (Math.abs(rate - target) < visible ? rate : null)),
          symbolSize: rates.length > 40 ? 4 : 8,
          itemStyle: { color: chosen.light, opacity: 1 },
        },
      ],
    }),
    label,
  );
}

/** Errors of uniform, of the chosen plan, or of both, block by block. */
export function drawErrors(
  baseline: readonly number[] | undefined,
  plan: readonly number[] | undefined,
  label: string,
): Html {
  const all = [...(baseline ?? []), ...(plan ?? [])];
  const scale = scaleOf(Math.min(...all), Math.max(...all));
  const blocks = (plan ?? baseline)!.length;
  return draw((size) => {
    // With many blocks only every nth point has a mark; that is enough to tell lines apart.
    const step = Math.ceil(blocks / (size.name === 'wide' ? 32 : 20));
    const marks =
      (dots: number) =>
      (_: unknown, { dataIndex }: { dataIndex: number }) =>
        dataIndex % step ? 0 : dots;
    const line = (data: readonly number[]) => ({ ...still, type: 'line', data: [...data], showAllSymbol: true });
    return {
      xAxis: blockAxis(blocks, size),
      yAxis: { ...valueAxis((value) => value.toFixed(scale.decimals)), ...extent(scale) },
      series: [
        baseline && {
          ...line(baseline),
          symbol: 'rect',
          symbolSize: marks(7),
          lineStyle: dashed(uniform.light, 2),
          itemStyle: { color: paper.light, borderColor: uniform.light, borderWidth: 2 },
        },
        plan && {
          ...line(plan),
          symbol: 'circle',
          symbolSize: marks(8),
          lineStyle: { color: chosen.light, width: 2.5 },
          itemStyle: { color: chosen.light },
        },
      ].filter((one) => one !== undefined),
    };
  }, label);
}

/**
 * Many lines on one axis: per block, or over `points` on the horizontal axis. The nth line has the nth style of palette.ts.
 */
export function drawLines(
  lines: readonly (readonly number[])[],
  points: { readonly name: string; readonly labels: readonly string[] },
  format: (value: number) => string,
  label: string,
): Html {
  const all = lines.flat().filter(Number.isFinite);
  const scale = scaleOf(Math.min(...all), Math.max(...all));
  return draw((size) => {
    const axis = blockAxis(points.labels.length, size);
    return {
      xAxis: { ...axis, data: [...points.labels], name: points.name },
      yAxis: { ...valueAxis(format), ...extent(scale) },
      series: lines.map((data, n) => {
        const { color, dashes } = lineStyle(n);
        return {
          ...still,
          type: 'line',
          data: [...data],
          symbol: 'circle',
          symbolSize: data.length > 24 ? 0 : 5,
          lineStyle: { color, width: 2, type: dashes.length > 0 ? [...dashes] : 'solid' },
          itemStyle: { color },
        };
      }),
    };
  }, label);
}

export type TrialPoint = {
  readonly x: number;
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly exact: boolean;
  readonly chosen: boolean;
};

/**
 * The largest ratio on the scale. A surrogate far from the best may be twice as bad as uniform. A scale with room for it
 * would hide the differences that decide, so the scale ends at several times the best gain, beyond all exact trials.
 */
export function searchTop(points: readonly TrialPoint[]): number {
  const all = Math.max(...points.map(({ high }) => high));
  const decided = Math.max(1, ...points.filter(({ exact }) => exact).map(({ high }) => high));
  const gain = 1 / Math.min(1, ...points.map(({ low }) => low));
  return Math.min(all, Math.max(decided * 1.02, gain ** 4, 1.1)) * 1.005;
}

type Coordinates = { value(dimension: number): number; coord(point: readonly number[]): [number, number] };

/** Ratios with their intervals on a logarithmic scale; trials beyond it are triangles at its upper end. */
export function drawSearch(points: readonly TrialPoint[], quantity: string | undefined, label: string): Html {
  const top = searchTop(points);
  const bottom = Math.min(1, ...points.map(({ low }) => low)) / 1.01;
  const shown = [...points].filter(({ ratio }) => ratio <= top).sort((a, b) => a.x - b.x);
  const right = Math.max(...points.map(({ x }) => x));
  const spots = (some: readonly TrialPoint[]) => some.map(({ x, ratio }) => [x, Math.log(Math.min(ratio, top))]);
  const marks = (some: readonly TrialPoint[], symbol: string, symbolSize: number, itemStyle: object, z: number) => ({
    ...still,
    type: 'scatter',
    data: spots(some),
    symbol,
    symbolSize,
    itemStyle: { opacity: 1, ...itemStyle },
    z,
  });
  const exact = shown.filter((point) => point.exact);
  const guesses = shown.filter((point) => !point.exact);
  // Neighbouring trials are joined only where the axis is a quantity; a trial’s number is not one.
  const curve = (some: readonly TrialPoint[], lineStyle: object) =>
    quantity !== undefined ? [{ ...still, type: 'line', data: spots(some), symbol: 'none', lineStyle, z: 2 }] : [];
  const intervals = (some: readonly TrialPoint[], stroke: string) => ({
    ...still,
    type: 'custom',
    data: some.map(({ x, low, high }) => [x, Math.log(low), Math.log(Math.min(high, top))]),
    z: 3,
    renderItem: (_: unknown, at: Coordinates) => {
      const [x, y1] = at.coord([at.value(0), at.value(1)]);
      const [, y2] = at.coord([at.value(0), at.value(2)]);
      const bar = (x1: number, y1: number, x2: number, y2: number) => ({
        type: 'line',
        shape: { x1, y1, x2, y2 },
        style: { stroke, lineWidth: 1.5, fill: 'none' },
      });
      return { type: 'group', children: [bar(x, y1, x, y2), bar(x - 4, y1, x + 4, y1), bar(x - 4, y2, x + 4, y2)] };
    },
  });
  const first = quantity !== undefined ? Math.min(0, ...points.map(({ x }) => x)) : 0;
  const last = quantity !== undefined ? (right > first ? right + (right - first) * 0.04 : first + 1) : right + 1;
  const ticks = ratioTicks(bottom, top);
  const tickLabel = labelTicks(ticks);
  return draw(
    () => ({
      xAxis: {
        ...valueAxis(formatNumber),
        splitNumber: 4,
        min: first - (quantity !== undefined ? (last - first) * 0.03 : 0),
        max: last,
        name: quantity ?? 'trial',
        nameLocation: 'middle',
        nameGap: 28,
        nameTextStyle: TEXT,
        axisLabel: {
          ...TEXT,
          formatter: formatNumber,
          showMinLabel: false,
          showMaxLabel: false,
          hideOverlap: true,
        },
        axisLine: { onZero: false, show: true, lineStyle: { color: axis.light } },
        splitLine: { show: false },
      },
      yAxis: {
        ...valueAxis((value) => tickLabel(Math.exp(value))),
        min: Math.log(bottom),
        max: Math.log(top),
        axisTick: { show: false, customValues: ticks.map(Math.log) },
        axisLabel: {
          ...TEXT,
          formatter: (value: number) => tickLabel(Math.exp(value)),
          customValues: ticks.map(Math.log),
        },
      },
      series: [
        {
          ...still,
          type: 'line',
          data: [
            [first - (last - first) * 0.03, 0],
            [last, 0],
          ],
          symbol: 'none',
          lineStyle: dashed(axis.light, 1.5),
          z: 1,
        },
        ...curve(guesses, { color: surrogate.light, width: 1.5, type: [2, 3] }),
        ...curve(exact, { color: chosen.light, width: 2 }),
        intervals(guesses, surrogate.light),
        intervals(exact, chosen.light),
        marks(guesses, 'diamond', 12, { color: paper.light, borderColor: surrogate.light, borderWidth: 2 }, 4),
        marks(
          points.filter(({ ratio }) => ratio > top),
          'triangle',
          11,
          { color: surrogate.light },
          4,
        ),
        marks(exact, 'circle', 9, { color: chosen.light }, 5),
        marks(
          exact.filter((point) => point.chosen),
          'circle',
          20,
          { color: 'none', borderColor: ink.light, borderWidth: 1.5 },
          6,
        ),
      ],
    }),
    label,
  );
}

export type FrontPoint = {
  readonly x: number;
  readonly loss: number;
  /** Its number in the table. */
  readonly number: number;
  readonly mark: { readonly symbol: string; readonly color: string };
  readonly front: boolean;
};

/** A loss below this is drawn on the lower end of the axis: a model without one would flatten the others. */
const LEAST_LOSS = 1e-5;

/**
 * Losses over a cost or a rate, both logarithmic. Points on the front are filled and joined, the others hollow; each has its
 * number. Losses below the scale are drawn on its lower end.
 */
export function drawFront(
  points: readonly FrontPoint[],
  quantity: string,
  format: (x: number) => string,
  label: string,
): Html {
  const real = points.filter(({ loss }) => loss >= LEAST_LOSS).map(({ loss }) => loss);
  const [least, most] = real.length > 0 ? [Math.min(...real), Math.max(...real)] : [LEAST_LOSS, 1];
  const [bottom, top] = [least / 1.6, most * 1.6];
  const xs = points.map(({ x }) => x);
  const [left, right] = [Math.min(...xs) / 1.12, Math.max(...xs) * 1.12];
  const spot = ({ x, loss }: FrontPoint): [number, number] => [Math.log(x), Math.log(Math.max(loss, bottom))];
  const front = points.filter((point) => point.front).sort((a, b) => a.x - b.x);
  const ticksOf = (low: number, high: number): { ticks: number[]; label: (value: number) => string } => {
    const ticks = ratioTicks(low, high);
    return { ticks, label: labelTicks(ticks) };
  };
  const [across, up] = [ticksOf(left, right), ticksOf(bottom, top)];
  const logarithmic = (low: number, high: number, ticks: readonly number[], text: (value: number) => string) => ({
    ...valueAxis((value) => text(Math.exp(value))),
    min: Math.log(low),
    max: Math.log(high),
    axisTick: { show: false, customValues: ticks.map(Math.log) },
    axisLabel: { ...TEXT, formatter: (value: number) => text(Math.exp(value)), customValues: ticks.map(Math.log) },
  });
  return draw(
    () => ({
      // Small losses have long labels.
      grid: { ...GRID, left: 62 },
      xAxis: {
        ...logarithmic(left, right, across.ticks, format),
        name: quantity,
        nameLocation: 'middle',
        nameGap: 28,
        nameTextStyle: TEXT,
        axisLine: { onZero: false, show: true, lineStyle: { color: axis.light } },
        splitLine: { show: false },
      },
      yAxis: logarithmic(bottom, top, up.ticks, up.label),
      series: [
        {
          ...still,
          type: 'line',
          data: front.map(spot),
          symbol: 'none',
          lineStyle: { color: axis.light, width: 1.5 },
          z: 1,
        },
        ...points.map((point) => ({
          ...still,
          type: 'scatter',
          data: [spot(point)],
          symbol: point.mark.symbol,
          symbolSize: 9,
          itemStyle: {
            opacity: 1,
            color: point.front ? point.mark.color : paper.light,
            borderColor: point.mark.color,
            borderWidth: 1.5,
          },
          label: {
            show: true,
            position: 'right',
            distance: 3,
            fontSize: 10,
            color: quiet.light,
            formatter: String(point.number),
          },
          z: point.front ? 3 : 2,
        })),
      ],
    }),
    label,
  );
}

// Axis labels where ECharts’ own choice does not work: every nth block, so that numbers do not touch, and round ratios on a
// logarithmic scale.

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** How many blocks apart labels fit on `width` pixels. */
function blockStep(blocks: number, width: number): number {
  const space = String(blocks - 1).length * 8 + 7;
  return STEPS.find((step) => (width / blocks) * step >= space) ?? Math.ceil((blocks * space) / width);
}

const niceStep = (rough: number): number => {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((digit) => digit * power >= rough * 0.999) ?? 10);
};
const decimalsOf = (step: number): number => Math.max(0, -Math.floor(Math.log10(step * 1.001)));

type Scale = {
  readonly min: number;
  readonly max: number;
  readonly interval: number;
  readonly decimals: number;
};

/** A scale with about five round steps that holds all of [low, high]. */
function scaleOf(low: number, high: number): Scale {
  const interval = niceStep(Math.max(high - low, Math.abs(high) * 1e-3, 1e-9) / 5);
  const multiple = (steps: number): number => Number((steps * interval).toPrecision(12));
  const min = multiple(Math.floor(low / interval + 1e-9));
  const max = multiple(Math.ceil(high / interval - 1e-9));
  return { min, max: max > min ? max : multiple(min / interval + 1), interval, decimals: decimalsOf(interval) };
}

/** Labels with the same number of decimals where the ticks are evenly spaced. */
function labelTicks(ticks: readonly number[]): (value: number) => string {
  const evenly = ticks.length > 1 && ticks.at(-1)! / ticks[0]! <= 4;
  const decimals = evenly ? decimalsOf(ticks[1]! - ticks[0]!) : 0;
  return (value) => (evenly ? value.toFixed(decimals) : String(Number(value.toPrecision(3))));
}

/** About four to eight round ratios in [low, high], including 1 if it is in the range. */
function ratioTicks(low: number, high: number): number[] {
  if (high / low > 4) {
    const ticks: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const digit of high / low > 1e4 ? [1] : high / low > 40 ? [1, 3] : [1, 2, 5])
        ticks.push(digit * 10 ** power);
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }
  const step = niceStep((high - low) / 5);
  const ticks: number[] = [];
  for (let i = Math.ceil((low - 1) / step); 1 + i * step <= high; i++)
    ticks.push(Number((1 + i * step).toPrecision(10)));
  return ticks;
}
