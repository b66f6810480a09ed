// Where the published forms are defined by what Python does to a string.

import { countCharacters, trimEnd, trimStart } from '../base/index.js';

/** `str.strip()` */
export const stripPython = (text: string): string => trimEnd(trimStart(text));

/** `str.rstrip()` */
export const rstripPython = trimEnd;

/** `len(str)` */
export const lengthPython = countCharacters;
