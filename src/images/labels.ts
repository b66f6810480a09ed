// Which of the model's labels each class of a data set is: by name, by ImageNet's number (wnid), by one of the comma-separated
// names of a label, or as a file says; never by position, for folders are sorted and id2label is not. Unless every class has
// exactly one label of its own, the run is refused.

import { OptionError } from '../base/index.js';
import type { LabelFile } from './label-file.js';

export type MappedLabels = {
  /** The model's label of each class. */
  readonly ids: Int32Array;
  /** How many classes were found in which way. */
  readonly found: Readonly<Record<'name' | 'wnid' | 'synonym' | 'file', number>>;
};

type Way = keyof MappedLabels['found'];

const fold = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replaceAll(/[_\s]+/g, ' ');

/** Names to labels; a name of two labels names neither. */
function indexBy(
  labels: readonly (readonly [id: number, name: string])[],
  keysOf: (name: string) => readonly string[],
  several: Set<string>,
) {
  const index = new Map<string, number | 'several'>();
  for (const [id, name] of labels) {
    for (const key of new Set(keysOf(name))) {
      const before = index.get(key);
      index.set(key, before === undefined || before === id ? id : 'several');
    }
  }
  return (key: string): number | undefined => {
    const id = index.get(key);
    if (id === 'several') several.add(key);
    return id === 'several' ? undefined : id;
  };
}

/** @throws OptionError E_OPTION_LABELS with examples of what does not fit */
export function mapLabels(
  classNames: readonly string[],
  id2label: Readonly<Record<string, string>>,
  file?: LabelFile,
): MappedLabels {
  const labels = Object.entries(id2label).map(([id, name]) => [Number(id), name] as const);
  if (file?.kind === 'list') {
    throw refusal(`${file.path}: expected lines of a class and a label, got labels alone`, classNames, id2label);
  }
  const several = new Set<string>();
  const exact = indexBy(labels, (name) => [name], several);
  const folded = indexBy(labels, (name) => [fold(name)], several);
  const synonyms = indexBy(labels, (name) => name.split(',').map(fold), several);
  const wnids = indexBy(labels, (name) => name.match(/\bn\d{8}\b/g) ?? [], several);
  const isId = new Set(labels.map(([id]) => id));

  const byName = (name: string): readonly [number, Way] | undefined => {
    const whole = exact(name) ?? folded(fold(name));
    if (whole !== undefined) return [whole, 'name'];
    const [, wnid, rest] = /^(n\d{8})(?:[_ ,-]+(.*))?$/.exec(name) ?? [];
    const byNumber = wnid === undefined ? undefined : wnids(wnid);
    if (byNumber !== undefined) return [byNumber, 'wnid'];
    const one = synonyms(fold(rest ?? name));
    return one === undefined ? undefined : [one, 'synonym'];
  };
  const inFile = (name: string): string | undefined =>
    file?.entries.get(name) ?? file?.entries.get(/^n\d{8}/.exec(name)?.[0] ?? name);
  const find = (name: string): readonly [number, Way] | undefined => {
    const said = inFile(name);
    if (said === undefined) return byName(name);
    const id = byName(said)?.[0] ?? (/^\d+$/.test(said) && isId.has(Number(said)) ? Number(said) : undefined);
    return id === undefined ? undefined : [id, 'file'];
  };

  const found = { name: 0, wnid: 0, synonym: 0, file: 0 };
  const ids = new Int32Array(classNames.length);
  const owner = new Map<number, string>();
  const missing: string[] = [];
  for (const [place, name] of classNames.entries()) {
    const result = find(name);
    if (!result) {
      missing.push(name);
      continue;
    }
    const [id, way] = result;
    const other = owner.get(id);
    // A file may put several classes into one label on purpose.
    if (other !== undefined && way !== 'file') {
      throw refusal(
        `${JSON.stringify(other)} and ${JSON.stringify(name)} are both the label ${JSON.stringify(id2label[id])}`,
        classNames,
        id2label,
      );
    }
    owner.set(id, name);
    ids[place] = id;
    found[way]++;
  }
  if (missing.length === 0) return { ids, found };
  // Of a name that two labels have, ImageNet's crane for one, only the number can tell them apart.
  const twice =
    several.size === 0 ? '' : `; several labels have the name ${quote([...several])}, so give the label's number`;
  throw refusal(
    `expected each of ${classNames.length} classes among the model's labels; ${missing.length} are not, such as ${quote(missing)}${twice}`,
    classNames,
    id2label,
  );
}

const quote = (names: readonly string[]): string =>
  names
    .slice(0, 3)
    .map((name) => JSON.stringify(name))
    .join(', ');

function refusal(what: string, classNames: readonly string[], id2label: Readonly<Record<string, string>>): OptionError {
  const known = quote(Object.values(id2label));
  return new OptionError(
    'E_OPTION_LABELS',
    `--labels: ${what}. The model's labels are such as ${known}; name a file that maps classes to them.`,
    { option: 'labels', classes: classNames.length, labels: Object.keys(id2label).length },
  );
}
