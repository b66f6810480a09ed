// Edits of config.json's text: keys and values that stay keep their characters, even `1e-05`, and `4.0`, which some readers want
// to be no whole number; members are separated as the first is from its bracket. The text must be valid JSON.

export type Span = { readonly begin: number; readonly end: number };
/** The span of a member's value, and where its key begins. */
type Member = Span & { readonly from: number };
export type Edit = Span & { readonly text: string };

/** The text with spans, which must not overlap, replaced. */
export const applyEdits = (text: string, edits: readonly Edit[]): string =>
  edits
    .toSorted((a, b) => b.begin - a.begin)
    .reduce((all, { begin, end, text: made }) => all.slice(0, begin) + made + all.slice(end), text);

export type Amendment = {
  /** The object that is changed, where that is not the whole. */
  readonly within?: string | undefined;
  /** Values to write in place of the present ones, or at the end. */
  readonly values?: Readonly<Record<string, unknown>>;
  /** Keys that go, where they are there and get no value. */
  readonly remove?: readonly string[];
};

/** The text of config.json with some values changed. */
export function amendConfig(text: string, { within, values = {}, remove = [] }: Amendment): string {
  const members = membersOf(text);
  const part = within === undefined ? undefined : members.get(within);
  if (part) {
    const inner = amendConfig(text.slice(part.begin, part.end), { values, remove });
    return applyEdits(text, [{ ...part, text: inner }]);
  }
  const gone = new Set(remove.filter((key) => !Object.hasOwn(values, key)));
  const left = [...members].filter(([key]) => !gone.has(key));
  const texts = left.map(([key, { from, begin, end }]) =>
    Object.hasOwn(values, key) ? text.slice(from, begin) + JSON.stringify(values[key]) : text.slice(from, end),
  );
  const added = Object.entries(values).flatMap(([key, value]) =>
    members.has(key) ? [] : [`${JSON.stringify(key)}: ${JSON.stringify(value)}`],
  );
  const open = text.indexOf('{') + 1;
  const all = [...members.values()];
  const first = all[0]?.from ?? open;
  const space = text.slice(open, first);
  const tail = text.slice(all.at(-1)?.end ?? open);
  return text.slice(0, open) + space + [...texts, ...added].join(`,${space}`) + tail;
}

/** The members of the outermost object, by key. */
export function membersOf(text: string): Map<string, Member> {
  const members = new Map<string, Member>();
  let at = afterSpace(text, text.indexOf('{') + 1);
  while (text[at] === '"') {
    const from = at;
    const keyEnd = valueEnd(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const begin = afterSpace(text, afterSpace(text, keyEnd) + 1);
    const end = valueEnd(text, begin);
    members.set(key, { from, begin, end });
    at = afterComma(text, end);
  }
  return members;
}

/** The spans of the elements of the list that begins at `open`. */
export function elementsOf(text: string, open: number): Span[] {
  const elements: Span[] = [];
  let begin = afterSpace(text, open + 1);
  while (text[begin] !== ']') {
    const end = valueEnd(text, begin);
    elements.push({ begin, end });
    begin = afterComma(text, end);
  }
  return elements;
}

function afterSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

function afterComma(text: string, from: number): number {
  const at = afterSpace(text, from);
  return text[at] === ',' ? afterSpace(text, at + 1) : at;
}

/** The end of the value that begins at `begin`. */
function valueEnd(text: string, begin: number): number {
  let depth = 0;
  let at = begin;
  do {
    const c = text[at];
    if (c === '"') {
      at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      at++;
    } else if (c === '[' || c === '{') {
      depth++;
      at++;
    } else if (c === ']' || c === '}') {
      depth--;
      at++;
    } else if (depth > 0) {
      at++;
    } else {
      while (at < text.length && !/[\s,\]}]/.test(text[at]!)) at++;
    }
  } while (depth > 0);
  return at;
}
