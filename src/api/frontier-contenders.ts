// The forms of a model that `frontier` measures, as data: what each is called, and how the other commands make it.

import { OptionError } from '../base/index.js';
import type { GgufType } from '../formats/index.js';
import type { ContenderKind } from '../records/index.js';

/** How a form is made: with which command, and its options. */
export type Making =
  | { readonly by: 'pack' }
  | {
      readonly by: 'quantise';
      readonly bits: number;
      readonly method: 'rtn' | 'gptq';
      readonly target: 'own' | 'stream';
    }
  | { readonly by: 'zeros'; readonly bits: number; readonly rate: number; readonly pattern: string }
  | { readonly by: 'compress'; readonly bits: number }
  | { readonly by: 'export'; readonly type: GgufType };

export type Contender = {
  readonly name: string;
  readonly kind: ContenderKind;
  readonly what: string;
  readonly making: Making;
};

const dense: Contender = { name: 'dense', kind: 'dense', what: 'float32, packed', making: { by: 'pack' } };

const widths = ([8, 4, 3, 2] as const).flatMap((bits): Contender[] => {
  const quantised = (
    suffix: string,
    kind: ContenderKind,
    what: string,
    method: 'rtn' | 'gptq',
    target: 'own' | 'stream',
  ): Contender => ({ name: `int${bits}${suffix}`, kind, what, making: { by: 'quantise', bits, method, target } });
  return [
    quantised('', 'plain', `${bits} bits, rounded one by one`, 'rtn', 'own'),
    quantised('-gptq', 'gptq', `${bits} bits, GPTQ`, 'gptq', 'own'),
    quantised('-stream', 'stream', `${bits} bits, GPTQ that follows the dense stream`, 'gptq', 'stream'),
  ];
});

/** From the widest down: the widest certainly fits, and its table of sensitivities serves the others. */
const mixed = [3.5, 3, 2.5].map(
  (bits): Contender => ({
    name: `mixed-${bits}`,
    kind: 'mixed',
    what: `a width for each linear, at most ${bits} bits on average, scales included (layerwise compress)`,
    making: { by: 'compress', bits },
  }),
);

const sparse: Contender = {
  name: 'int4-8of16',
  kind: 'sparse',
  what: '8 of 16 weights zero, the others 4 bits: GPTQ that follows the dense stream',
  making: { by: 'zeros', bits: 4, rate: 0.5, pattern: '8:16' },
};

const gguf = (['f16', 'q8_0', 'q6_k', 'q4_k', 'q4_0', 'q3_k', 'q2_k'] as const).map(
  (type): Contender => ({
    name: type,
    kind: 'gguf',
    what: `llama.cpp’s ${type.toUpperCase()}, dequantised and run by our engine`,
    making: { by: 'export', type },
  }),
);

export const CONTENDERS: readonly Contender[] = [dense, ...widths, ...mixed, sparse, ...gguf];

/** Those that are asked for, in the order of the table; all by default. @throws OptionError E_OPTION_CONTENDERS */
export function findContenders(names: readonly string[] | undefined): readonly Contender[] {
  if (names === undefined) return CONTENDERS;
  const known = CONTENDERS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (names.length > 0 && unknown === undefined) return CONTENDERS.filter(({ name }) => names.includes(name));
  throw new OptionError(
    'E_OPTION_CONTENDERS',
    `--contenders: expected some of ${known.join(', ')}, got ${JSON.stringify(unknown ?? '')}.`,
    { option: 'contenders', expected: known, got: unknown ?? '' },
  );
}

/** Whether it is made with calibration text. */
export const needsText = ({ making }: Contender): boolean =>
  making.by === 'zeros' || making.by === 'compress' || (making.by === 'quantise' && making.method === 'gptq');
