// The rates of a plan, one per unit in its order.

import type { Plan } from '../../src/records/index.js';

export const ratesOf = ({ units }: Plan): number[] => Object.values(units).map(({ zeros }) => zeros!.rate);
