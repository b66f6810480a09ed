// The names of classes that a text trunk reads, and the templates that they are put into, from files.

import { OptionError, readDocument, sha256 } from '../base/index.js';
import { parseTemplates, TEMPLATES } from '../evaluate/index.js';
import type { ImageSettings } from './image-options.js';

export type ClassNames = {
  /** In the order of the classes' numbers. */
  readonly names: readonly string[];
  readonly templates: readonly string[];
  readonly record: { readonly hash: string; readonly names: number; readonly templates: number };
};

/** Undefined without `classes`. @throws OptionError E_OPTION_CLASSES, E_OPTION_TEMPLATES; ResourceError */
export async function readClassNames({
  classes,
  templates: file,
}: Pick<ImageSettings, 'classes' | 'templates'>): Promise<ClassNames | undefined> {
  if (classes === undefined) return undefined;
  const names = (await readDocument(classes)).replace(/\s+$/, '').split(/\r?\n/);
  const empty = names.findIndex((name) => name.trim() === '');
  if (empty >= 0) {
    throw new OptionError(
      'E_OPTION_CLASSES',
      `--classes: ${classes}: expected the name of a class in every line, as a text says it; line ${empty + 1} is empty.`,
      { option: 'classes', line: empty + 1 },
    );
  }
  const templates = file === undefined ? TEMPLATES : parseTemplates(await readDocument(file), `--templates: ${file}`);
  const hash = sha256(Buffer.from(JSON.stringify([names, templates])));
  return { names, templates, record: { hash, names: names.length, templates: templates.length } };
}
