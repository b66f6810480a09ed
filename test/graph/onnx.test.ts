// The serialised model, read back by a decoder of Protocol Buffers written here, field by field as onnx.proto numbers them.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float, type Graph, GraphBuilder, int, serialiseOnnx } from '../../src/graph/index.js';
import { runs } from '../scale.js';

type Field = { readonly field: number; readonly value: bigint | number | Uint8Array };

/** The fields of a message in order: varints as bigint, 32-bit fields as float, the rest as bytes. */
function decode(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const field = key >> 3;
    if ((key & 7) === 0) fields.push({ field, value: varint() });
    else if ((key & 7) === 5) {
      fields.push({ field, value: new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true) });
      at += 4;
    } else {
      const length = Number(varint());
      fields.push({ field, value: bytes.subarray(at, at + length) });
      at += length;
    }
  }
  expect(at).toBe(bytes.length);
  return fields;
}

const all = (bytes: Uint8Array, field: number) =>
  decode(bytes).flatMap((item) => (item.field === field ? [item.value] : []));
const messages = (bytes: Uint8Array, field: number): Uint8Array[] => all(bytes, field) as Uint8Array[];
const texts = (bytes: Uint8Array, field: number): string[] =>
  messages(bytes, field).map((value) => new TextDecoder().decode(value));
const graphOf = (graph: Graph): Uint8Array => messages(serialiseOnnx(graph), 7)[0]!;

function sample(): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', ['B', 300]);
  const length = 600;
  const w = g.initializer({
    name: 'w',
    dtype: 'F16',
    shape: [1, 300],
    source: { kind: 'file', file: 'a.safetensors', offset: 2 ** 33 + 1, length },
  });
  const wide = g.op('Cast', [w], { to: int(1) });
  const norm = g.op('RMSNormalization', [x, wide], { axis: int(-1), epsilon: float(0.5) });
  g.output(g.op('Reshape', [norm, g.shape([-1, 300])]), 'y', ['B', 300]);
  return g.build('sample', 'somewhere');
}

describe('a model', () => {
  test('says its format, its opset and its name', () => {
    const model = serialiseOnnx(sample());
    expect(all(model, 1)).toEqual([11n]);
    expect(all(messages(model, 8)[0]!, 2)).toEqual([23n]);
    expect(texts(graphOf(sample()), 2)).toEqual(['sample']);
  });

  test('has its nodes in order, with inputs, outputs and attributes', () => {
    const nodes = messages(graphOf(sample()), 1);
    expect(nodes.map((node) => texts(node, 4)[0])).toEqual(['Cast', 'RMSNormalization', 'Reshape', 'Identity']);
    expect(nodes.map((node) => texts(node, 1))).toEqual([
      ['w'],
      ['x', texts(nodes[0]!, 2)[0]],
      [texts(nodes[1]!, 2)[0], 'int64[-1,300]'],
      [texts(nodes[2]!, 2)[0]],
    ]);
    expect(texts(nodes[3]!, 2)).toEqual(['y']);
    const attributes = messages(nodes[1]!, 5);
    expect(attributes.map((a) => [texts(a, 1)[0], all(a, 2)[0], all(a, 3)[0], all(a, 20)[0]])).toEqual([
      ['axis', undefined, -1n, 2n],
      ['epsilon', 0.5, undefined, 1n],
    ]);
  });

  test('points into files and holds small constants', () => {
    const [w, shape] = messages(graphOf(sample()), 5);
    expect([all(w!, 1), all(w!, 2), texts(w!, 8), all(w!, 14)]).toEqual([[1n, 300n], [10n], ['w'], [1n]]);
    expect(messages(w!, 13).map((entry) => [texts(entry, 1)[0], texts(entry, 2)[0]])).toEqual([
      ['location', 'a.safetensors'],
      ['offset', '8589934593'],
      ['length', '600'],
    ]);
    expect([all(shape!, 1), all(shape!, 2), all(shape!, 14)]).toEqual([[2n], [7n], []]);
    expect([...new BigInt64Array(messages(shape!, 9)[0]!.slice().buffer)]).toEqual([-1n, 300n]);
  });

  test('declares inputs and outputs with sizes and names of sizes', () => {
    for (const [field, name] of [
      [11, 'x'],
      [12, 'y'],
    ] as const) {
      const [value] = messages(graphOf(sample()), field);
      expect(texts(value!, 1)).toEqual([name]);
      const tensor = messages(messages(value!, 2)[0]!, 1)[0]!;
      expect(all(tensor, 1)).toEqual([1n]);
      const dimensions = messages(messages(tensor, 2)[0]!, 1);
      expect(dimensions.map((d) => texts(d, 2)[0] ?? all(d, 1)[0])).toEqual(['B', 300n]);
    }
  });

  test('is the same bytes every time', () => {
    expect(serialiseOnnx(sample())).toEqual(serialiseOnnx(sample()));
  });
});

test('integers of any size and sign survive', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const g = new GraphBuilder();
      g.op('Any', [], { value: int(value) });
      const attribute = messages(messages(graphOf(g.build('g', undefined)), 1)[0]!, 5)[0]!;
      expect(all(attribute, 3)).toEqual([BigInt(value)]);
    }),
    { numRuns: runs(100) },
  );
});

test('inline bytes of any length survive', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40_000 }), (bytes) => {
      const g = new GraphBuilder();
      g.initializer({ name: 'b', dtype: 'F32', shape: [1], source: { kind: 'bytes', bytes } });
      const [tensor] = messages(graphOf(g.build('g', undefined)), 5);
      expect(messages(tensor!, 9)[0]).toEqual(bytes);
    }),
    { numRuns: runs(50) },
  );
});

test('a dtype that the engine cannot compute with is refused by name', () => {
  const g = new GraphBuilder();
  g.initializer({ name: 'q', dtype: 'I8', shape: [1], source: { kind: 'bytes', bytes: new Uint8Array(1) } });
  expect(() => serialiseOnnx(g.build('g', undefined))).toThrowError(
    expect.objectContaining({ code: 'E_UNSUPPORTED_DTYPE', message: expect.stringContaining('q has dtype I8') }),
  );
});

describe('the builder', () => {
  test('gives equal constant vectors once, and never the name of an op’s output', () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'f32', [4]);
    const names = [g.shape([0]), g.op('Shape', [x]), g.shape([0]), g.op('Shape', [x]), g.shape([1])];
    expect(names[0]).toBe(names[2]);
    expect(new Set(names).size).toBe(4);
    expect(g.build('g', undefined).initializers).toHaveLength(2);
  });
});
