// What a cut takes, in words.

const UNITS = { mlp: 'channels of MLPs', heads: 'heads', all: 'heads and channels' } as const;

export const nameUnits = (units: keyof typeof UNITS): string => UNITS[units];
