// A checkpoint's tensor names and config.json after whole blocks are removed, or copied: an order says which block of the source
// each block is (or is like). Blocks are renumbered. In config.json these change: the number of blocks; every list at its top level
// with one entry per block (`layer_types` and any other list of that length, except ids and class names); and `max_window_layers`,
// which counts blocks from the first. Where a block's kind follows from its number by a rule (every other block has a window, or
// experts), the list that the rule stands for is written out: `layer_types`, or `mlp_only_layers` with a `decoder_sparse_step` of
// 1. Only these places in the text change; all other characters stay, even `1e-05`.

import { InternalError } from '../base/index.js';
import { findFamily, keyOf, readModelConfig } from './config.js';
import { applyEdits, type Edit, elementsOf, membersOf, type Span } from './config-text.js';

/**
 * The name of a tensor after blocks `removed` are gone; undefined if it is removed too. `prefix` is how names of blocks
 * begin.
 */
export function renumberTensor(name: string, removed: ReadonlySet<number>, prefix: string): string | undefined {
  const place = placeOf(name, prefix);
  if (!place) return name;
  const { block, rest } = place;
  return removed.has(block) ? undefined : tensorAt({ block: block - countBelow(removed, block), rest }, prefix);
}

/** A block's number, and a tensor's name within the block. */
export type TensorPlace = { readonly block: number; readonly rest: string };

/** The place of a tensor; undefined outside the blocks. */
export function placeOf(name: string, prefix: string): TensorPlace | undefined {
  const match = name.startsWith(prefix) && /^(0|[1-9]\d*)\./.exec(name.slice(prefix.length));
  return match ? { block: Number(match[1]), rest: name.slice(prefix.length + match[0].length) } : undefined;
}

/** The name of the tensor at a place. */
export const tensorAt = ({ block, rest }: TensorPlace, prefix: string): string => `${prefix}${block}.${rest}`;

const countBelow = (removed: ReadonlySet<number>, block: number): number =>
  [...removed].filter((one) => one < block).length;

/** Lists whose length is unrelated to the number of blocks, even where it is equal. */
const NOT_PER_BLOCK: ReadonlySet<string> = new Set(['architectures', 'bos_token_id', 'eos_token_id', 'pad_token_id']);

/** What to change besides lists with one entry per block. */
export type Mending = {
  /** The key that says how many blocks there are. Defaults to `num_hidden_layers`. */
  readonly count?: string;
  /** The object that holds all of this, where that is not the whole text. */
  readonly within?: string | undefined;
  /**
   * Lists with one entry for each original block, to write where there are none, because the rule they replace depends on a
   * block’s number.
   */
  readonly lists?: Readonly<Record<string, readonly unknown[]>>;
  /** Lists of original block numbers, to write in place of the present ones. */
  readonly numbers?: Readonly<Record<string, readonly number[]>>;
  /** Other values to write in place of the present ones. */
  readonly values?: Readonly<Record<string, unknown>>;
};

/** What `mendConfig` needs to know about a model. */
export function mendingOf(config: Readonly<Record<string, unknown>>): Mending {
  const family = findFamily(config);
  const { windows, mixtures } = readModelConfig(config);
  const { slidingWindow: rule } = family;
  const byNumber = typeof rule === 'object' && 'allBut' in rule;
  const types = windows.map((window) => (window === undefined ? 'full_attention' : 'sliding_attention'));
  const single = mixtures.flatMap((mixture, block) => (mixture === undefined ? [block] : []));
  const listed = family.mixture?.someBlocks && single.length > 0;
  return {
    count: keyOf(family, 'num_hidden_layers'),
    within: family.within,
    lists: byNumber ? { layer_types: types } : {},
    ...(listed ? { numbers: { mlp_only_layers: single }, values: { decoder_sparse_step: 1 } } : {}),
  };
}

/** The text of config.json, which must be valid, without the blocks `removed`. */
export const mendConfig = (text: string, removed: ReadonlySet<number>, mending: Mending = {}): string =>
  reorderConfig(text, (blocks) => Array.from({ length: blocks }, (_, i) => i).filter((i) => !removed.has(i)), mending);

/** Which block of the source each block is like, from the source’s number of blocks. */
export type OrderOf = (blocks: number) => readonly number[];

/** The text of config.json, which must be valid, for blocks in another order, some of them several times or never. */
export function reorderConfig(text: string, orderOf: OrderOf, mending: Mending = {}): string {
  const { count = 'num_hidden_layers', within, lists = {}, numbers = {}, values = {} } = mending;
  const members = membersOf(text);
  if (within !== undefined) {
    const { begin, end } = members.get(within)!;
    const inner = reorderConfig(text.slice(begin, end), orderOf, { ...mending, within: undefined });
    return text.slice(0, begin) + inner + text.slice(end);
  }
  const valueAt = (key: string): unknown => {
    const span = members.get(key);
    return span && JSON.parse(text.slice(span.begin, span.end));
  };
  const blocks = valueAt(count);
  if (typeof blocks !== 'number') {
    throw new InternalError('E_INTERNAL_CONFIG', `config.json has no ${count}; please report this.`);
  }
  const order = orderOf(blocks);
  const edits: Edit[] = [];
  let added = '';
  const put = (key: string, value: unknown): void => {
    const span = members.get(key);
    if (span) edits.push({ ...span, text: JSON.stringify(value) });
    else added += `, ${JSON.stringify(key)}: ${JSON.stringify(value)}`;
  };
  for (const [key, list] of Object.entries(lists)) {
    if (valueAt(key) == null) {
      put(
        key,
        order.map((block) => list[block]),
      );
    }
  }
  for (const [key, list] of Object.entries(numbers)) {
    put(
      key,
      order.flatMap((block, at) => (list.includes(block) ? [at] : [])),
    );
  }
  for (const [key, value] of Object.entries(values)) put(key, value);
  edits.push({ ...members.get(count)!, text: `${order.length}${added}` });
  const windowed = valueAt('max_window_layers');
  if (typeof windowed === 'number') {
    const all = windowed >= blocks;
    const before = all ? Math.max(windowed, order.length) : order.filter((block) => block < windowed).length;
    edits.push({ ...members.get('max_window_layers')!, text: `${before}` });
  }
  for (const [key, span] of members) {
    if (text[span.begin] !== '[' || NOT_PER_BLOCK.has(key)) continue;
    if (Object.hasOwn(numbers, key) || Object.hasOwn(values, key)) continue;
    const elements = elementsOf(text, span.begin);
    if (elements.length === blocks) edits.push({ ...span, text: inOrder(text, span, elements, order) });
  }
  return applyEdits(text, edits);
}

/** A list's text with its elements in another order; each keeps the separator before it, and the first takes the second's. */
function inOrder(text: string, list: Span, elements: readonly Span[], order: readonly number[]): string {
  let kept = '';
  for (const i of order) {
    const { begin, end } = elements[i]!;
    const before = elements[Math.max(i, 1) - 1]!;
    const after = elements[Math.max(i, 1)];
    if (kept !== '') kept += after ? text.slice(before.end, after.begin) : ', ';
    kept += text.slice(begin, end);
  }
  return text.slice(list.begin, elements[0]!.begin) + kept + text.slice(elements.at(-1)!.end, list.end);
}
