// A graph of ONNX operators as plain data, and a builder that adds one op per line. The same value is serialised for
// ONNX Runtime (onnx.ts) and interpreted in plain TypeScript (engine/reference), so both run the same graph.
// Initialisers point into the user's own safetensors files: nothing is converted or copied.

import type { DType } from '../tensor/index.js';

/** A dimension: a size, or a name for a size known only at run time. */
export type Dimension = number | string;
export type ElementType = 'f32' | 'i64';

export type ValueInfo = { readonly name: string; readonly type: ElementType; readonly shape: readonly Dimension[] };

export type InitializerSource =
  /** Bytes [offset, offset + length) of `file`, a path inside the graph's folder. */
  | { readonly kind: 'file'; readonly file: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

export type Initializer = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly source: InitializerSource;
};

export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'text'; readonly value: string };

export type Node = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
};

export type Graph = {
  readonly name: string;
  /** The folder of the initialisers' files; undefined where all are inline. */
  readonly folder: string | undefined;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly Node[];
};

export const int = (value: number): Attribute => ({ kind: 'int', value });
/** ONNX stores such attributes in float32. */
export const float = (value: number): Attribute => ({ kind: 'float', value: Math.fround(value) });
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });
export const text = (value: string): Attribute => ({ kind: 'text', value });

/** The number in an attribute, or `fallback` where there is none. */
export const numberOf = (attribute: Attribute | undefined, fallback: number): number =>
  attribute?.kind === 'int' || attribute?.kind === 'float' ? attribute.value : fallback;

/**
 * Collects nodes and initialisers; every op method returns the name of its output. `prefix` begins the names of outputs, so
 * that they are no names of a graph whose nodes were added.
 */
export class GraphBuilder {
  private readonly nodes: Node[] = [];
  private readonly initializers = new Map<string, Initializer>();
  private readonly inputs: ValueInfo[] = [];
  private readonly outputs: ValueInfo[] = [];
  private readonly prefix: string;
  private count = 0;

  constructor(prefix = '') {
    this.prefix = prefix;
  }

  /** Adds the nodes and initialisers of another graph, but neither its inputs nor its outputs. */
  add({ nodes, initializers }: Pick<Graph, 'nodes' | 'initializers'>): void {
    this.nodes.push(...nodes);
    for (const initializer of initializers) this.initializer(initializer);
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.inputs.push({ name, type, shape });
    return name;
  }

  /** Names `value` as an output of the graph. */
  output(value: string, name: string, shape: readonly Dimension[]): void {
    this.nodes.push({ op: 'Identity', inputs: [value], outputs: [name], attributes: {} });
    this.outputs.push({ name, type: 'f32', shape });
  }

  op(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.ops(op, inputs, 1, attributes)[0]!;
  }

  /** Adds an op with `count` outputs. */
  ops(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly string[] {
    const outputs = Array.from({ length: count }, () => `${this.prefix}${op.toLowerCase()}_${this.count++}`);
    this.nodes.push({ op, inputs, outputs, attributes });
    return outputs;
  }

  initializer(initializer: Initializer): string {
    this.initializers.set(initializer.name, initializer);
    return initializer.name;
  }

  /** An int64 constant vector; ONNX takes shapes and axes as such vectors. */
  shape(values: readonly number[]): string {
    const bytes = new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer);
    return this.initializer({
      name: `int64[${values}]`, // cannot be the name of an op's output
      dtype: 'I64',
      shape: [values.length],
      source: { kind: 'bytes', bytes },
    });
  }

  /** A constant float32 tensor. */
  constant(name: string, values: Float32Array, shape: readonly number[]): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return this.initializer({ name, dtype: 'F32', shape, source: { kind: 'bytes', bytes } });
  }

  build(name: string, folder: string | undefined): Graph {
    return {
      name,
      folder,
      inputs: this.inputs,
      outputs: this.outputs,
      initializers: [...this.initializers.values()],
      nodes: this.nodes,
    };
  }
}
