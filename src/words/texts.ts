// How a text was cut, as people read it.

/** `, each beginning with BOS (token 2)`; nothing where windows are contiguous pieces of the text. */
export const describeStart = (bos: number | null): string =>
  bos === null ? '' : `, each beginning with BOS (token ${bos})`;
