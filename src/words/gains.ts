// What a plan gains on two texts, as people read it.

import { wordsOfLoss } from './loss.js';
import { formatPercent } from './numbers.js';

type Gain = { readonly nats: number; readonly interval: readonly [number, number] };
type Gains = {
  readonly onValidation: Gain;
  readonly onCalibration: Gain;
  readonly calibration: {
    readonly chosen: { readonly windows: number; readonly loss?: 'cross-entropy' | 'answer' | undefined };
  };
};

/** By how much perplexity is lower than uniform's, as a share of it. */
const share = (nats: number): number => 1 - Math.exp(-nats);

const describe = ({ nats, interval: [low, high] }: Gain): string =>
  `${formatPercent(share(nats))} [${(100 * share(low)).toFixed(2)}, ${(100 * share(high)).toFixed(2)}]`;

const describeNats = ({ nats, interval: [low, high] }: Gain): string =>
  `${nats.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;

export function describeGains({ onValidation, onCalibration, calibration: { chosen } }: Gains): string {
  const { title, compared } = wordsOfLoss(chosen);
  if (compared === 'ratio') {
    return `Perplexity below uniform's: ${describe(onValidation)} on validation text, ${describe(onCalibration)} on ${chosen.windows} windows of calibration text.`;
  }
  return `${title} below uniform's: ${describeNats(onValidation)} on validation samples, ${describeNats(onCalibration)} on ${chosen.windows} calibration samples.`;
}

/** The warning where the two gains have parted. */
export const warnOfGains = ({ onValidation, onCalibration }: Gains): string => {
  const [more, less] =
    onValidation.nats > onCalibration.nats ? ['validation', 'calibration'] : ['calibration', 'validation'];
  return `The plan gains less than half as much on ${less} text as on ${more} text, so it may not hold for text of another form. --judge both chooses by both texts.`;
};
