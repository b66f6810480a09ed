// The page’s colours, light and dark. Charts are drawn in the light ones. Each colour is used for one purpose, so the style
// sheet can select what is drawn in it (`svg [fill="#…"]`) and give it the current value of the variable. Blue, orange and
// purple are distinct for colour-blind readers (after Okabe and Ito); marks and dashes differ too.

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
