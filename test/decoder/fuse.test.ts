// Which operations share a dispatch on the GPU, for every golden family: lists of a few, and for all of them that the fused
// list computes what the program does. That is shown by running both on terms in the place of numbers: an operation makes a
// term of what it reads, so two lists agree where they make the same term of x, the cache and the logits.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { lowerModel } from '../../src/decoder/lower.js';
import type { Operation, Program, Value } from '../../src/decoder/program.js';
import { type Alike, type Fused, fuse, separate } from '../../src/decoder/webgpu/fuse.js';
import { place } from '../../src/decoder/webgpu/placement.js';
import { planDispatches } from '../../src/decoder/webgpu/plan.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { packInMemory } from '../../src/packed/index.js';
import { goldenCases, goldenDir } from '../model/golden.js';
import { runs } from '../scale.js';

const lower = async (name: string): Promise<Program> => {
  const { config, tensorNames } = await openModel(goldenDir(name));
  return lowerModel(config, tensorNames, () => true);
};

/** A fused operation in short: which linears, or how many heads, it has. */
function nameOf(one: Fused): string {
  const last = (weight: string): string =>
    weight
      .replace(/\.weight$/, '')
      .split('.')
      .at(-1)!;
  switch (one.kind) {
    case 'normalise':
      return [one.pick && 'pick', 'norm', one.quantise && 'quantise'].filter(Boolean).join('+');
    case 'linears':
      return one.linears.map(({ weight, addTo }) => last(weight) + (addTo ? '+add' : '')).join(' ');
    case 'gated':
      return `${[one.gate, one.up].flatMap((linear) => (linear ? [last(linear.weight)] : [])).join(' ')}+${one.activate.activation}`;
    case 'heads':
      return one.heads.map((head) => (head.kind === 'store' ? head.what : 'rotate')).join('+');
    default:
      return one.kind;
  }
}

const all: Alike = () => true;
const block = async (name: string, alike = all): Promise<string[]> =>
  fuse((await lower(name)).blocks[0]!, alike).map(nameOf);

describe('a block', () => {
  const llama = [
    ...['norm+quantise', 'q_proj k_proj v_proj', 'rotate+keys+values', 'attend', 'quantise', 'o_proj+add'],
    ...['norm+quantise', 'gate_proj up_proj+silu', 'quantise', 'down_proj+add'],
  ];

  test('of LLaMA: ten dispatches in the place of eighteen', async () => {
    expect((await lower('llama')).blocks[0]).toHaveLength(18);
    for (const name of ['llama', 'llama-bias', 'mistral', 'qwen2']) expect(await block(name), name).toEqual(llama);
  });

  test('of other families', async () => {
    expect(await block('gpt2')).toEqual([
      ...['norm+quantise', 'c_attn', 'keys+values', 'attend', 'quantise', 'c_proj+add'],
      ...['norm+quantise', 'c_fc+gelu_tanh', 'quantise', 'c_proj+add'],
    ]);
    expect(await block('gpt_neox')).toEqual([
      ...['norm+quantise', 'query_key_value', 'rotate+keys+values', 'attend', 'norm+quantise', 'quantise', 'dense+add'],
      ...['dense_h_to_4h+gelu', 'quantise', 'dense_4h_to_h+add'],
    ]);
  });

  test('norms of heads stand between q and k, which come first with v', async () => {
    expect((await block('qwen3')).slice(0, 5)).toEqual([
      ...['norm+quantise', 'q_proj k_proj v_proj', 'norm', 'norm', 'rotate+keys+values'],
    ]);
  });

  test('experts, and a gate that is half of a linear, keep dispatches of their own', async () => {
    expect(await block('mixtral')).toEqual(expect.arrayContaining(['route', 'experts', 'activate', 'combine']));
    expect(await block('phi3')).toEqual(expect.arrayContaining(['gate_up_proj', 'activate']));
  });

  test('linears whose weights no one kernel reads', async () => {
    const fused = await block('llama', (one, other) => ![one, other].some((name) => /(k|up)_proj/.test(name)));
    expect(fused).toEqual(
      llama.flatMap((name) => {
        if (name.startsWith('q_proj')) return ['q_proj v_proj', 'k_proj'];
        return name.startsWith('gate') ? ['gate_proj', 'up_proj', 'activate'] : [name];
      }),
    );
  });
});

test('the head: two', async () => {
  expect(fuse((await lower('llama')).head, all).map(nameOf)).toEqual(['pick+norm+quantise', 'lm_head']);
});

test('a whole model: dispatches of a token, fused and not, and where a shard ends', async () => {
  const { checkpoint, config, tensorNames } = await openModel(goldenDir('llama'));
  const settings = { values: 'int8', layout: 'auto', head: 'int8' } as const;
  const packed = await packInMemory({ checkpoint, tensors: describeTensors(config, tensorNames) }, settings, silent);
  const program = await lower('llama');
  const limits = { sequences: 1, positions: 16, tokens: 16, picked: 16 };
  const count = (largestBuffer: number, fused: boolean): number => {
    const placement = place(program, packed, limits, largestBuffer);
    return planDispatches(program, placement, limits, { threads: 32, rowThreads: 32, memory: 32768, fused }).length;
  };
  const blocks = program.blocks.length;
  expect(count(2 ** 30, true)).toBe(10 * blocks + 3);
  expect(count(2 ** 30, false)).toBe(18 * blocks + 5);
  // A shard for each tensor: q, k and v are three dispatches, gate, up and the activation as well.
  const largest = Math.max(...[...packed.tensors.values()].map(({ bytes }) => bytes));
  const least = place(program, packed, limits, 2 ** 30).arenaBytes;
  const apart = new Map(
    [...packed.tensors].map(([name, entry]) => [name, { ...entry, bytes: Math.max(largest, least) }]),
  );
  const placement = place(program, { ...packed, tensors: apart }, limits, Math.max(largest, least));
  const dispatches = planDispatches(program, placement, limits, {
    threads: 32,
    rowThreads: 32,
    memory: 32768,
    fused: true,
  });
  expect(dispatches).toHaveLength(14 * blocks + 3);
});

/** The parts of a fused operation, in the order that their kernel runs them. */
function parts(one: Fused): readonly Operation[] {
  switch (one.kind) {
    case 'normalise':
      return [one.pick, one.norm, one.quantise].filter((part) => part !== undefined);
    case 'linears':
      return one.linears;
    case 'gated':
      return [one.gate, ...(one.up ? [one.up] : []), one.activate];
    case 'heads':
      return one.heads;
    default:
      return [one];
  }
}

const known = new Map<string, string>();
/** A short name for a term, the same for the same. */
function make(...words: readonly unknown[]): string {
  const text = JSON.stringify(words);
  if (!known.has(text)) known.set(text, `term ${known.size}`);
  return known.get(text)!;
}

/** Results that stay in a kernel. */
function neverStored(fused: Fused): string[] {
  const values =
    fused.kind === 'gated' ? [fused.gate.y, fused.up?.y] : fused.kind === 'normalise' ? [fused.pick?.y] : [];
  return values.flatMap((value) => (value ? [`buffer ${value.buffer}`] : []));
}

/** What a list makes of terms: of the residual, of the cache, and of every buffer. */
function run(list: readonly Fused[]): ReadonlyMap<string, string> {
  const terms = new Map<string, string>();
  const before = (key: string): string => terms.get(key) ?? `old ${key}`;
  const read = ({ buffer, offset, width }: Value): string => make(before(`buffer ${buffer}`), offset, width);
  for (const fused of list) {
    const own = parts(fused);
    // A kernel has one input for all its linears, one rotation, and a bias for all or none.
    const [linear] = own.filter((one) => one.kind === 'linear');
    const rope = own.map((one) => ('rope' in one ? one.rope : undefined)).find((one) => one !== undefined);
    // What stands side by side reads what was there before.
    const writes: [string, string][] = [];
    const chain = fused.kind === 'normalise' || fused.kind === 'gated';
    for (const one of own) {
      const write = (key: string, ...words: readonly unknown[]): void => {
        const term = make(one.kind, ...words);
        if (chain) terms.set(key, term);
        else writes.push([key, term]);
      };
      const y = 'y' in one ? `buffer ${one.y.buffer}` : '';
      switch (one.kind) {
        case 'quantise':
          write(`integers ${one.q}`, read(one.x));
          break;
        case 'linear': {
          const { x, q, bias } = linear!;
          const product = make(one.weight, bias && one.bias, q === undefined ? read(x) : before(`integers ${q}`));
          if (one.addTo) write(`buffer ${one.addTo.buffer}`, product, read(one.addTo));
          else write(y, product);
          break;
        }
        case 'route':
          write('routes', read(one.logits));
          break;
        case 'gather':
        case 'combine':
          write(y, read(one.x), before('routes'));
          break;
        case 'experts':
          write(y, one.weights, one.q === undefined ? read(one.x) : before(`integers ${one.q}`), before('routes'));
          break;
        case 'store':
          write(one.what, one.rope === undefined ? 'none' : rope, read(one.x));
          break;
        case 'attend':
          write(y, read(one.q), before('keys'), before('values'));
          break;
        case 'add':
          write(y, read(one.x), read(one.y));
          break;
        case 'activate':
          write(y, read(one.x), one.up && read(one.up));
          break;
        case 'look':
          write(y, one.table);
          break;
        case 'rotate':
          write(y, one.rope === undefined ? 'none' : rope, read(one.x));
          break;
        default:
          write(y, read(one.x));
      }
    }
    for (const [key, term] of writes) terms.set(key, term);
    for (const key of neverStored(fused)) terms.delete(key);
  }
  return terms;
}

test.each(goldenCases)('%s: the fused lists compute what the program does', async (name) => {
  const program = await lower(name);
  for (const operations of [program.embed, ...program.blocks, program.head]) {
    const fused = fuse(operations, all);
    expect(fused.flatMap(parts)).toHaveLength(operations.length);
    expect(new Set(fused.flatMap(parts))).toEqual(new Set(operations));
    const [expected, found] = [run(separate(operations)), run(fused)];
    for (const key of ['buffer 0', 'keys', 'values', `buffer ${program.logits.buffer}`]) {
      expect(found.get(key), `${key} of ${name}`).toBe(expected.get(key));
    }
  }
});

/**
 * Lists as the recorder makes them: what is new goes to a buffer of its own; norms and sums may be in place. Draws say what an
 * operation is and which of the values so far it reads.
 */
function listOf(draws: readonly (readonly number[])[]): readonly Operation[] {
  let buffers = 2;
  let integers = 0;
  const pick = (n: number): Value => ({ buffer: n % buffers, offset: 0, width: 8 });
  const fresh = (): Value => ({ buffer: buffers++, offset: 0, width: 8 });
  return draws.flatMap(([kind, a, b, c], i): Operation[] => {
    const x = pick(a!);
    const rope = [undefined, 0, 1][b! % 3];
    const weight = `w${i}`;
    const bias = c! % 4 === 0 ? 'bias' : undefined;
    const norm = { kind: 'norm', norm: 'rms', weight: 'n', bias: undefined, epsilon: 1 } as const;
    switch (kind) {
      case 0:
        return [{ ...norm, x, y: b! % 2 === 0 ? x : fresh(), heads: 1 + (c! % 2) }];
      case 1:
        return [{ kind: 'quantise', x, q: integers++ }];
      case 2:
      case 3: {
        const q = integers > 0 && b! % 4 > 0 ? b! % integers : undefined;
        return [{ kind: 'linear', x, q, weight, bias, addTo: c! % 5 === 1 ? pick(c!) : undefined, y: fresh() }];
      }
      case 4: {
        const up = b! % 3 === 0 ? undefined : pick(c!);
        return [{ kind: 'activate', activation: 'silu', x, up, y: fresh() }];
      }
      case 5:
        return [{ kind: 'rotate', x, pitch: 8, rope, heads: 1, y: fresh() }];
      case 6:
        return [{ kind: 'store', what: c! % 2 === 0 ? 'keys' : 'values', x, pitch: 8, rope }];
      case 7:
        return [{ kind: 'attend', q: x, window: 0, y: fresh() }];
      case 8:
        return [{ kind: 'pick', x, y: fresh() }];
      default:
        return [{ kind: 'add', x, y: pick(b!) }];
    }
  });
}

test('any list computes the same, and much of it is joined', () => {
  const number = fc.nat({ max: 60 });
  const draw = fc.tuple(fc.integer({ min: 0, max: 9 }), number, number, number);
  const joined = { normalise: 0, linears: 0, gated: 0, heads: 0 };
  fc.assert(
    fc.property(fc.array(draw, { maxLength: 14 }), fc.boolean(), (draws, oneForm) => {
      const operations = listOf(draws);
      const alike: Alike = (one, other) => oneForm || one.length === other.length;
      const fused = fuse(operations, alike);
      expect(new Set(fused.flatMap(parts))).toEqual(new Set(operations));
      for (const one of fused)
        if (one.kind in joined && parts(one).length > 1) joined[one.kind as keyof typeof joined]++;
      const never = new Set(fused.flatMap(neverStored));
      const [expected, found] = [run(separate(operations)), run(fused)];
      for (const [key, term] of expected) if (!never.has(key)) expect(found.get(key), key).toBe(term);
    }),
    { numRuns: runs(2000) },
  );
  for (const [kind, count] of Object.entries(joined)) expect(count, kind).toBeGreaterThan(0);
});
