// The page’s colours, light and dark. Charts are drawn in the light ones. Each colour is used for one purpose, so the style
// sheet can select what is drawn in it (`svg [fill="#…"]`) and give it the current value of the variable. Blue, orange and
// purple are distinct for colour-blind readers (after Okabe and Ito); marks and dashes differ too.
// The key above a chart says what its marks are, in the same colours.

import type { Html } from './html.js';

export const PALETTE = {
  paper: { light: '#ffffff', dark: '#14171b' },
  panel: { light: '#f5f7f9', dark: '#1c2127' },
  ink: { light: '#1b1f24', dark: '#e7eaee' },
  quiet: { light: '#505a66', dark: '#abb5c0' },
  axis: { light: '#8c96a1', dark: '#6b7682' },
  rule: { light: '#dfe4e9', dark: '#323a43' },
  chosen: { light: '#0067ad', dark: '#5cb3f2' },
  uniform: { light: '#bb4d00', dark: '#f0a04b' },
  surrogate: { light: '#7a4a9e', dark: '#c79be6' },
  fourth: { light: '#00805a', dark: '#4fc79d' },
  fifth: { light: '#a8326e', dark: '#ef8fbf' },
  sixth: { light: '#6b6100', dark: '#cfc155' },
} as const;

/** Colour and dashes of the nth of many lines; when colours run out, dashes change. */
export function lineStyle(n: number): { readonly color: string; readonly dashes: readonly number[] } {
  const colours = [PALETTE.uniform, PALETTE.chosen, PALETTE.surrogate, PALETTE.fourth, PALETTE.fifth, PALETTE.sixth];
  const dashes = [[], [6, 4], [2, 3], [9, 3, 2, 3]] as const;
  const color = colours[n % colours.length]!.light;
  return { color, dashes: dashes[Math.floor(n / colours.length) % dashes.length]! };
}

/** The mark of each kind of form in a frontier. */
export const FORM_MARKS = {
  dense: { symbol: 'rect', color: PALETTE.axis.light },
  plain: { symbol: 'rect', color: PALETTE.uniform.light },
  gptq: { symbol: 'diamond', color: PALETTE.surrogate.light },
  stream: { symbol: 'circle', color: PALETTE.chosen.light },
  mixed: { symbol: 'triangle', color: PALETTE.fifth.light },
  sparse: { symbol: 'triangle', color: PALETTE.sixth.light },
  gguf: { symbol: 'diamond', color: PALETTE.fourth.light },
} as const;

export type Role = keyof typeof PALETTE;

const roles = Object.keys(PALETTE) as Role[];

/** `--ink: #1b1f24; …` */
export const variables = (scheme: 'light' | 'dark'): string =>
  roles.map((role) => `--${role}: ${PALETTE[role][scheme]};`).join(' ');

/** Rules that give everything drawn in a light colour the value of its variable. */
export const recolour = (): string =>
  roles
    .flatMap((role) =>
      ['fill', 'stroke'].map(
        (property) => `svg [${property}="${PALETTE[role].light}"] { ${property}: var(--${role}); }`,
      ),
    )
    .join('\n');

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
