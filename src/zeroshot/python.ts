// String functions of Python, which the published forms of tasks are defined by.

import { countCharacters, trimEnd, trimStart } from '../base/index.js';

/** `str.strip()` */
export const stripPython = (text: string): string => trimEnd(trimStart(text));

/** `str.rstrip()` */
export const rstripPython = trimEnd;

/** `len(str)` */
export const lengthPython = countCharacters;
