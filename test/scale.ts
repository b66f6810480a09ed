// How long tests may take and how many cases a property draws, by one variable: LAYERWISE_TEST_SCALE, 1 where it is not set.
// 10 draws ten times as many cases and waits ten times as long; 0.2 draws a fifth, and waits as ever, for fewer cases are no
// reason to expect a faster machine. A busy machine wants 3, and is given more cases with the time.

const VARIABLE = 'LAYERWISE_TEST_SCALE';

/** @throws Error where the variable is set to anything but a positive number */
export function readScale(value: string | undefined): number {
  if (value === undefined || value === '') return 1;
  const scale = Number(value);
  if (Number.isFinite(scale) && scale > 0) return scale;
  throw new Error(`${VARIABLE} is ${JSON.stringify(value)}; expected a positive number, such as 0.2 or 3`);
}

const SCALE = readScale(process.env[VARIABLE]);

/** A time limit in milliseconds. */
export const limit = (milliseconds: number, scale = SCALE): number => Math.ceil(milliseconds * Math.max(1, scale));

/** How many cases a property draws: at least one. */
export const runs = (count: number, scale = SCALE): number => Math.max(1, Math.round(count * scale));

/** The same, and never fewer than `count`: for a property after which the test asks which kinds of cases came. */
export const enough = (count: number): number => Math.max(count, runs(count));
