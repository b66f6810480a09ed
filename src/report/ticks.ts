// Axis labels where ECharts’ own choice does not work: every nth block, so that numbers do not touch, and round ratios on a
// logarithmic scale.

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** How many blocks apart labels fit on `width` pixels. */
export function blockStep(blocks: number, width: number): number {
  const space = String(blocks - 1).length * 8 + 7;
  return STEPS.find((step) => (width / blocks) * step >= space) ?? Math.ceil((blocks * space) / width);
}

const niceStep = (rough: number): number => {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((digit) => digit * power >= rough * 0.999) ?? 10);
};
const decimalsOf = (step: number): number => Math.max(0, -Math.floor(Math.log10(step * 1.001)));

export type Scale = {
  readonly min: number;
  readonly max: number;
  readonly interval: number;
  readonly decimals: number;
};

/** A scale with about five round steps that holds all of [low, high]. */
export function scaleOf(low: number, high: number): Scale {
  const interval = niceStep(Math.max(high - low, Math.abs(high) * 1e-3, 1e-9) / 5);
  const multiple = (steps: number): number => Number((steps * interval).toPrecision(12));
  const min = multiple(Math.floor(low / interval + 1e-9));
  const max = multiple(Math.ceil(high / interval - 1e-9));
  return { min, max: max > min ? max : multiple(min / interval + 1), interval, decimals: decimalsOf(interval) };
}

/** Labels with the same number of decimals where the ticks are evenly spaced. */
export function labelTicks(ticks: readonly number[]): (value: number) => string {
  const evenly = ticks.length > 1 && ticks.at(-1)! / ticks[0]! <= 4;
  const decimals = evenly ? decimalsOf(ticks[1]! - ticks[0]!) : 0;
  return (value) => (evenly ? value.toFixed(decimals) : String(Number(value.toPrecision(3))));
}

/** About four to eight round ratios in [low, high], including 1 if it is in the range. */
export function ratioTicks(low: number, high: number): number[] {
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
