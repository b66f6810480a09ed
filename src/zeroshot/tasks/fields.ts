// The fields of one item, read with their place, so that an error names the file, line (or row) and field.

import { CheckpointError } from '../../base/index.js';

/** Lines and items of a JSON array count from 1, rows from 0. */
export type Place = { readonly file: string; readonly unit: 'line' | 'item' | 'row'; readonly number: number };

export class Fields {
  readonly values: Readonly<Record<string, unknown>>;
  readonly place: Place;

  constructor(values: Readonly<Record<string, unknown>>, place: Place) {
    this.values = values;
    this.place = place;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.values, name);
  }

  string(name: string): string {
    const value = this.at(name);
    return typeof value === 'string' ? value : this.refuse(name, 'a string', value);
  }

  boolean(name: string): boolean {
    const value = this.at(name);
    return typeof value === 'boolean' ? value : this.refuse(name, 'true or false', value);
  }

  /** At least two strings. */
  strings(name: string): readonly string[] {
    const value = this.at(name);
    const fits = Array.isArray(value) && value.length >= 2 && value.every((one) => typeof one === 'string');
    return fits ? value : this.refuse(name, 'two or more strings', value);
  }

  /** A whole number, or its digits as a string, from 0 to below `count`. */
  index(name: string, count: number): number {
    const value = this.at(name);
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < count) return number;
    return this.refuse(name, `a whole number from 0 to ${count - 1} (the right answer)`, value);
  }

  /** The index of the value of `name` in `among`. */
  position(name: string, among: readonly string[]): number {
    const value = this.string(name).trimStart();
    const index = among.indexOf(value);
    return index >= 0 ? index : this.refuse(name, `one of ${among.join(', ')}`, value);
  }

  /** @throws CheckpointError E_TASK_FIELD */
  refuse(name: string, expected: string, got: unknown): never {
    const { file, unit, number } = this.place;
    const found = got === undefined ? 'nothing' : clip(JSON.stringify(got));
    throw new CheckpointError(
      'E_TASK_FIELD',
      `${file}: ${unit} ${number}: field "${name}": expected ${expected}, got ${found}. docs/reference/tasks.md lists each task's fields.`,
      { file, [unit]: number, field: name, expected, got: found },
    );
  }

  /** The value at a path such as `choices.text`. */
  private at(path: string): unknown {
    let value: unknown = this.values;
    for (const key of path.split('.')) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
    }
    return value;
  }
}

const clip = (text: string): string => (text.length > 80 ? `${text.slice(0, 79)}…` : text);
