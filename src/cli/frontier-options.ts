// The options of frontier alone; options.ts has all the others.

import { CONTENDERS } from '../api/index.js';

export const FRONTIER_OPTIONS = {
  contenders: {
    kind: 'text',
    flag: '--contenders',
    value: 'name,…',
    text: `the forms to measure, of ${CONTENDERS.map(({ name }) => name).join(', ')}`,
    otherwise: 'all',
  },
} as const;
