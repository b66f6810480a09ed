// What ER, AlphaPruning and ECoFLaP share: an amount is divided in proportion to shares, no part takes more than it can
// hold, and what is left over goes to the others in the same proportion. Where only parts with share 0 are left, it goes
// to them in proportion to what they hold.

/**
 * `total` divided over parts of `capacities`, in proportion to `shares` ≥ 0; their sum is `total`, up to rounding.
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
