// Proportional division with capacities, for ER, AlphaPruning and ECoFLaP. An amount is divided in proportion to shares. No
// part gets more than its capacity; the excess goes to the other parts in the same proportion. If only parts with share 0
// remain, they get it in proportion to their capacities.

/**
 * Divides `total` over parts in proportion to `shares` ≥ 0, limited by `capacities`. The parts add up to `total`, up to
 * rounding.
 * 0 ≤ total ≤ Σ capacities.
 */
export function divideByShares(total: number, shares: readonly number[], capacities: readonly number[]): number[] {
  const parts = new Array<number>(shares.length).fill(0);
  const open = new Set(shares.keys());
  let left = total;
  while (open.size > 0 && left > 0) {
    const sum = [...open].reduce((a, i) => a + shares[i]!, 0);
    const shareOf = (i: number): number => (sum > 0 ? shares[i]! : capacities[i]!);
    const whole = sum > 0 ? sum : [...open].reduce((a, i) => a + capacities[i]!, 0);
    if (whole <= 0) break;
    const factor = left / whole;
    const full = [...open].filter((i) => factor * shareOf(i) >= capacities[i]!);
    if (full.length === 0) {
      for (const i of open) parts[i] = factor * shareOf(i);
      break;
    }
    for (const i of full) {
      parts[i] = capacities[i]!;
      left -= capacities[i]!;
      open.delete(i);
    }
  }
  return parts;
}
