// The key of a chart, in HTML instead of in the picture: it wraps on narrow screens, and names from the record never enter
// a picture.

import type { Html } from './html.js';
import { FORM_MARKS, lineStyle, PALETTE } from './palette.js';

const { chosen, uniform, surrogate, axis, ink, paper } = PALETTE;

const line = (colour: string, dashes = ''): string =>
  `<path d="M1 7H29" fill="none" stroke="${colour}" stroke-width="2.5"${dashes && ` stroke-dasharray="${dashes}"`}/>`;

/** Pictures of 30 × 14, drawn like the charts. */
const MARKS = {
  bar: `<rect x="9" y="1" width="12" height="12" fill="${chosen.light}"/>`,
  target: line(axis.light, '5 4'),
  chosen: `${line(chosen.light)}<circle cx="15" cy="7" r="4" fill="${chosen.light}"/>`,
  uniform: `${line(uniform.light, '6 4')}<rect x="11" y="3" width="8" height="8" fill="${paper.light}" stroke="${uniform.light}" stroke-width="2"/>`,
  exact: `<circle cx="15" cy="7" r="5" fill="${chosen.light}"/>`,
  surrogate: `<path d="M15 1L21 7L15 13L9 7Z" fill="${paper.light}" stroke="${surrogate.light}" stroke-width="2"/>`,
  ring: `<circle cx="15" cy="7" r="6" fill="none" stroke="${ink.light}" stroke-width="1.5"/>`,
  beyond: `<path d="M15 2L21 12H9Z" fill="${surrogate.light}"/>`,
} as const;

export type KeyEntry = { readonly mark: keyof typeof MARKS; readonly text: string };

/** One entry per line of drawLines; texts are HTML. */
export function keyOfLines(texts: readonly Html[]): Html {
  const items = texts.map((text, n) => {
    const { color, dashes } = lineStyle(n);
    return `<li><svg class="mark" viewBox="0 0 30 14" aria-hidden="true">${line(color, dashes.join(' '))}</svg><span>${text}</span></li>`;
  });
  return `<ul class="key" aria-label="Key">${items.join('')}</ul>`;
}

/** One entry per kind of mark; texts are HTML. */
export function keyOf(entries: readonly KeyEntry[]): Html {
  const items = entries.map(
    ({ mark, text }) =>
      `<li><svg class="mark" viewBox="0 0 30 14" aria-hidden="true">${MARKS[mark]}</svg><span>${text}</span></li>`,
  );
  return `<ul class="key" aria-label="Key">${items.join('')}</ul>`;
}

const SHAPES: Readonly<Record<string, string>> = {
  rect: '<rect x="10.5" y="2.5" width="9" height="9"',
  diamond: '<path d="M15 1.5L20.5 7L15 12.5L9.5 7Z"',
  circle: '<circle cx="15" cy="7" r="4.5"',
  triangle: '<path d="M15 2L20 12H10Z"',
};

/** The mark of a kind of form, as markup of 30 × 14. */
export function markOfForm(kind: keyof typeof FORM_MARKS): string {
  const { symbol, color } = FORM_MARKS[kind];
  return `${SHAPES[symbol]} fill="${color}"/>`;
}

/** One entry per kind of form; texts are HTML. */
export function keyOfForms(entries: readonly (readonly [kind: keyof typeof FORM_MARKS, text: Html])[]): Html {
  const items = entries.map(
    ([kind, text]) =>
      `<li><svg class="mark" viewBox="0 0 30 14" aria-hidden="true">${markOfForm(kind)}</svg><span>${text}</span></li>`,
  );
  return `<ul class="key" aria-label="Key">${items.join('')}</ul>`;
}
