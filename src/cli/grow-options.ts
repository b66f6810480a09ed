// The options of drop and grow that no other command has; options.ts has all the others.

export const GROW_OPTIONS = {
  repair: {
    kind: 'text',
    flag: '--repair',
    value: 'linear',
    text: 'fit the last linear before each gap to what the removed blocks did, in closed form, on --calibration',
    otherwise: 'no repair',
  },
} as const;
