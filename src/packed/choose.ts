// Chooses a linear's layout. The bytes of each candidate are exact; its time is an estimate for one core and one token,
// the larger of the time to read it and the time to compute with it. The fastest candidate wins, then the smallest; with
// `smallest` it is the other way round. The reason is recorded in words. int8 and int4: dense, fixed tiles (as N:16 masks
// leave them: every tile has the slots of the fullest one; in int4 also with masks), or sorted tiles (each with its own
// number of slots). int3 and int2: dense. float32: dense, or rows of column numbers and values.

import {
  type IntegerValues,
  type LinearLayout,
  layoutBytes,
  layoutDense,
  layoutFixedTiles,
  layoutMaskedTiles,
  layoutRows,
  layoutSortedTiles,
  MASKED_SLOTS,
} from '../layouts/index.js';

export const LAYOUT_CHOICES = ['auto', 'tiles', 'dense', 'smallest'] as const;
/** The layouts to choose from. */
export type LayoutChoice = (typeof LAYOUT_CHOICES)[number];

/**
 * The basis of the estimates: `npm run bench:layouts` on one of two AMD EPYC cores, in WebAssembly. Only ratios matter,
 * and they hold roughly on other machines.
 */
const RATES = {
  /** Bytes per second that one core reads while all cores read. */
  memory: 14e9,
  /** Weights per second, apart from reading them. */
  dense: { f32: 11e9, int8: 24e9, int4: 22e9, int3: 19e9, int2: 25e9 },
  /** Nanoseconds per tile, and per slot for all eight rows; an odd number of slots ends in a single one. */
  fixed: { int8: { tile: 0.2, slot: 0.56, odd: 0.9 }, int4: { tile: 0.4, slot: 0.5, odd: 0.3 } },
  /** Nanoseconds per tile with masks. */
  masked: 7.7,
  sorted: { int8: { tile: 0.9, slot: 0.63 }, int4: { tile: 2.8, slot: 0.6 } },
  /** Nonzeros per second. */
  rows: 2.7e9,
} as const;

export type LayoutCandidate = { readonly layout: LinearLayout; readonly what: string; readonly seconds: number };
export type ChosenLayout = { readonly chosen: LayoutCandidate; readonly reason: string };

/** Chooses for integers, from the slots that each tile needs (countSlots). */
export function chooseTiles(
  shape: { readonly rows: number; readonly columns: number },
  values: IntegerValues,
  slots: Uint8Array,
  asked: LayoutChoice,
): ChosenLayout {
  const dense = candidate(layoutDense(shape, values), 'dense', (shape.rows * shape.columns) / RATES.dense[values]);
  if (values === 'int3' || values === 'int2')
    return { chosen: dense, reason: `${values} is dense; ${describe(dense)}` };
  if (asked === 'dense') return { chosen: dense, reason: `asked for; ${describe(dense)}` };
  const fullest = Math.max(
    1,
    slots.reduce((most, n) => Math.max(most, n), 0),
  );
  let [used, sum] = [0, 0];
  for (const n of slots) {
    if (n > 0) used++;
    sum += n;
  }
  const [perFixed, perSorted] = [RATES.fixed[values], RATES.sorted[values]];
  const fixed = candidate(
    layoutFixedTiles(shape, values, fullest),
    `${fullest}:16 tiles`,
    slots.length * (perFixed.tile + perFixed.slot * fullest + (fullest % 2) * perFixed.odd) * 1e-9,
  );
  const masks = values === 'int4' && fullest > 4 ? MASKED_SLOTS.find((n) => n >= fullest) : undefined;
  const masked =
    masks === undefined
      ? []
      : [
          candidate(
            layoutMaskedTiles(shape, masks),
            `${masks}:16 tiles with masks`,
            slots.length * RATES.masked * 1e-9,
          ),
        ];
  const sorted = candidate(
    layoutSortedTiles(shape, values, slots),
    'tiles sorted by count',
    (used * perSorted.tile + sum * perSorted.slot) * 1e-9,
  );
  const tiles = [fixed, ...masked, sorted];
  return choose(asked === 'tiles' ? tiles : [...tiles, dense], asked);
}

/** Chooses for float32. Rows support at most 65,536 columns. */
export function chooseFloat(
  shape: { readonly rows: number; readonly columns: number },
  nonzeros: number,
  asked: LayoutChoice,
): ChosenLayout {
  const dense = candidate(layoutDense(shape, 'f32'), 'dense', (shape.rows * shape.columns) / RATES.dense.f32);
  if (asked === 'dense') return { chosen: dense, reason: `asked for; ${describe(dense)}` };
  if (shape.columns > 65536) return { chosen: dense, reason: `too many columns for rows; ${describe(dense)}` };
  return choose([candidate(layoutRows(shape, nonzeros), 'rows', nonzeros / RATES.rows), dense], asked);
}

export type Estimate = { readonly bytes: number; readonly seconds: number };

/** A dense matrix: bytes, and seconds of one core for one token. */
export function estimateDense(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  values: 'f32' | IntegerValues,
): Estimate {
  const { layout, seconds } = candidate(
    layoutDense({ rows, columns }, values),
    'dense',
    (rows * columns) / RATES.dense[values],
  );
  return { bytes: layoutBytes(layout), seconds };
}

/** A matrix of which `kept` of 16 columns of every row are not zero, as `chooseTiles` would store it. */
export function estimateTiles(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  values: IntegerValues,
  kept: number,
  asked: LayoutChoice,
): Estimate {
  const slots = new Uint8Array(Math.ceil(rows / 8) * Math.ceil(columns / 16)).fill(kept);
  const { layout, seconds } = chooseTiles({ rows, columns }, values, slots, asked).chosen;
  return { bytes: layoutBytes(layout), seconds };
}

function candidate(layout: LinearLayout, what: string, compute: number): LayoutCandidate {
  return { layout, what, seconds: Math.max(layoutBytes(layout) / RATES.memory, compute) };
}

function choose(candidates: readonly LayoutCandidate[], asked: LayoutChoice): ChosenLayout {
  const bySeconds = (a: LayoutCandidate, b: LayoutCandidate): number => a.seconds - b.seconds;
  const byBytes = (a: LayoutCandidate, b: LayoutCandidate): number => layoutBytes(a.layout) - layoutBytes(b.layout);
  const [chosen, ...others] = [...candidates].sort(
    asked === 'smallest' ? (a, b) => byBytes(a, b) || bySeconds(a, b) : (a, b) => bySeconds(a, b) || byBytes(a, b),
  );
  return { chosen: chosen!, reason: `${describe(chosen!)}, against ${others.map(describe).join(' and ')}` };
}

/** `4:16 tiles: 3.02 bits a weight and about 12.1 µs`. */
function describe({ layout, what, seconds }: LayoutCandidate): string {
  const bits = (8 * layoutBytes(layout)) / (layout.rows * layout.columns);
  return `${what}: ${bits.toFixed(2)} bits a weight and about ${(seconds * 1e6).toPrecision(3)} µs`;
}
