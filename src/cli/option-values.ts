// What the text of an option's value says: numbers, and lists of numbers or names.

import { OptionError } from '../base/index.js';
import { optionCode } from '../runs/index.js';

/** `name=number,name=number` as an object. @throws OptionError E_OPTION_… with the option’s name */
export function parseNumbers(text: string, option = 'hyperparameters'): Readonly<Record<string, number>> {
  const pairs = text.split(',').map((pair) => /^\s*([A-Za-z]\w*)\s*=\s*(\S+)\s*$/.exec(pair));
  const values = pairs.map((pair) => (pair ? ([pair[1]!, Number(pair[2])] as const) : undefined));
  if (values.every((value) => value !== undefined && !Number.isNaN(value[1]))) {
    const named = values as (readonly [string, number])[];
    const twice = named.find(([name], i) => named.findIndex(([other]) => other === name) < i);
    if (!twice) return Object.fromEntries(named);
    throw new OptionError(
      optionCode(option),
      `--${option}: expected each name once, got ${twice[0]} twice in ${JSON.stringify(text)}.`,
      { option, got: text, name: twice[0] },
    );
  }
  throw new OptionError(
    optionCode(option),
    `--${option}: expected name=number pairs separated by commas, such as line=0.2,gain=0.5, got ${JSON.stringify(text)}.`,
    { option, got: text },
  );
}

/** `alpha=0.5,gamma=0.5`; undefined where the option is absent. */
export const parseShares = (text: string | undefined): { readonly targetShares?: Readonly<Record<string, number>> } =>
  text === undefined ? {} : { targetShares: parseNumbers(text, 'target-shares') };

const splitNames = (names: string): readonly string[] => names.split(',').map((name) => name.trim());

/** `boolq,piqa` as a list; undefined where the option is absent. */
export const parseTasks = (names: string | undefined): { readonly tasks?: readonly string[] } =>
  names === undefined ? {} : { tasks: splitNames(names) };

/** `outliers,alpha` as a list, `none` as an empty list; undefined where the option is absent. */
export const parseMeasures = (names: string | undefined): { readonly measures?: readonly string[] } =>
  names === undefined ? {} : { measures: names === 'none' ? [] : splitNames(names) };

/** `0.5,0.7` as numbers. @throws OptionError E_OPTION_… */
export const parseList = (flag: string, text: string): readonly number[] =>
  text.split(',').map((one) => parseNumber(flag, one));

/** Parses a number. @throws OptionError E_OPTION_… with the option’s name for anything else */
export function parseNumber(flag: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isNaN(value)) return value;
  const name = flag.replace(/^--/, '');
  throw new OptionError(optionCode(name), `${flag}: expected a number, got ${JSON.stringify(text)}.`, {
    option: name,
    got: text,
  });
}

/** Where work is handed out to, as the options of the API. */
export const parseQueue = (queue: string | undefined): { readonly queue?: string } =>
  queue === undefined ? {} : { queue };
