// Watches what kernels index: every index of W, A and C in their text goes through a function that marks one of four words at the
// end of A where the index is outside. In Node the GPU does not check indices (src/gpu/node.ts), so nothing may be.

const NAMES = ['W', 'A', 'C'];
/** Words that A must have at its end for the marks. */
export const MARKS = 4;

const functions = NAMES.map(
  (name, i) => `fn watch${name}(i: u32) -> u32 {
  if (i >= arrayLength(&${name})${name === 'A' ? ` - ${MARKS}u` : ''}) { A[arrayLength(&A) - ${i + 1}u] = 1u; }
  return i;
}
`,
).join('');

/** Where the bracket that is open before `at` closes. */
function closing(text, at) {
  for (let depth = 1, i = at; i < text.length; i++) {
    if (text[i] === '[') depth++;
    if (text[i] === ']' && --depth === 0) return i;
  }
  throw new Error('a bracket is not closed');
}

function watchIndices(text) {
  const found = /(?<![\w.])([WAC])\[/.exec(text);
  if (!found) return text;
  const begin = found.index + found[0].length;
  const end = closing(text, begin);
  const inside = watchIndices(text.slice(begin, end));
  return `${text.slice(0, begin)}watch${found[1]}(${inside})${watchIndices(text.slice(end))}`;
}

/** A kernel's text, watched. */
export const watchKernel = (code) => watchIndices(code).replace('@compute', () => `${functions}@compute`);

/** @throws Error that names what a kernel indexed outside, from the last words of A */
export function requireInside(marks) {
  const outside = NAMES.filter((_, i) => marks[MARKS - 1 - i] !== 0);
  if (outside.length > 0) throw new Error(`a kernel reads or writes outside ${outside.join(' and ')}`);
}
