// The reference implementation of an engine: interprets a graph node by node, in double precision. It is slow and
// obvious on purpose, and every other engine is tested against it. It reads weights from the same files and offsets.

import { InternalError, UnsupportedError } from '../../base/index.js';
import type { Graph, Initializer, Node } from '../../graph/index.js';
import { toFloat32 } from '../../tensor/index.js';
import type { Engine, HostTensor, Session } from '../engine.js';
import { checkFiles, checkInputs, readInitializer } from '../graph-inputs.js';
import { OPS } from './ops.js';
import type { Op, Value } from './value.js';

/** The engine in plain TypeScript: exact, slow, one run at a time, on this thread. */
export function createReferenceEngine(): Engine {
  return { name: 'reference', device: 'cpu', workers: 1, concurrency: 1, load, close: async () => {} };
}

async function load(graph: Graph): Promise<Session> {
  for (const node of graph.nodes) checkNode(node);
  await checkFiles(graph);
  let constants: ReadonlyMap<string, Value> | undefined = new Map(
    await Promise.all(graph.initializers.map(async (item) => [item.name, await readValue(graph, item)] as const)),
  );
  const once: Session['run'] = async (inputs) => {
    if (!constants) throw new InternalError('E_INTERNAL_ENGINE', `${graph.name} was run after it was released.`);
    checkInputs(graph, inputs);
    const values = new Map(constants);
    for (const { name } of graph.inputs) values.set(name, fromHost(inputs[name]!));
    interpret(graph, values);
    return Object.fromEntries(graph.outputs.map(({ name }) => [name, toHost(values.get(name)!)]));
  };
  return {
    run: once,
    lend: async (inputs) => ({ inputs: { ...inputs }, outputs: await once(inputs) }),
    release: async () => {
      constants = undefined;
    },
  };
}

/** @throws UnsupportedError E_UNSUPPORTED_OP, E_UNSUPPORTED_ATTRIBUTE */
function checkNode(node: Node): Op {
  const op = OPS.get(node.op);
  if (!op) {
    const supported = [...OPS.keys()].join(', ');
    throw new UnsupportedError('E_UNSUPPORTED_OP', `The reference engine has no op ${node.op}; it has ${supported}.`, {
      op: node.op,
      supported,
    });
  }
  const unknown = Object.keys(node.attributes).find((name) => !op.attributes.includes(name));
  if (unknown !== undefined) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_ATTRIBUTE',
      `The reference engine's ${node.op} has no attribute ${unknown}; it has ${op.attributes.join(', ') || 'none'}.`,
      { op: node.op, attribute: unknown },
    );
  }
  const [least, most] = op.inputs;
  const [fewest, largest] = op.outputs ?? [1, 1];
  const within = (count: number, from: number, to: number): boolean => count >= from && count <= to;
  if (!within(node.inputs.length, least, most) || !within(node.outputs.length, fewest, largest)) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_OP',
      `The reference engine's ${node.op} takes ${least} to ${most} inputs and gives ${fewest} to ${largest} outputs; got ${node.inputs.length} and ${node.outputs.length}.`,
      { op: node.op },
    );
  }
  return op;
}

/** An initialiser in double precision. */
export async function readValue(graph: Graph, initializer: Initializer): Promise<Value> {
  const bytes = await readInitializer(graph, initializer);
  const { dtype, shape } = initializer;
  if (dtype === 'I64') {
    const integers = new BigInt64Array(bytes.slice().buffer);
    return { type: 'i64', shape, data: Float64Array.from(integers, Number) };
  }
  return { type: 'f32', shape, data: Float64Array.from(toFloat32(bytes, dtype)) };
}

/** Computes all values of a graph in double precision; `values` holds those of its inputs and initialisers. */
export function interpret(graph: Graph, values: Map<string, Value>): void {
  const find = (name: string): Value => {
    const value = values.get(name);
    if (!value) throw new InternalError('E_INTERNAL_ENGINE', `${graph.name}: nothing computes ${name} before its use.`);
    return value;
  };
  for (const node of graph.nodes) {
    const read = node.inputs.map((name) => (name === '' ? undefined : find(name)));
    const results = [OPS.get(node.op)!.run(read, node.attributes)].flat();
    for (const [i, output] of node.outputs.entries()) values.set(output, results[i]!);
  }
  for (const { name } of graph.outputs) find(name);
}

const fromHost = ({ type, shape, data }: HostTensor): Value => ({
  type,
  shape,
  data: Float64Array.from(data as Iterable<number | bigint>, Number),
});

function toHost({ type, shape, data }: Value): HostTensor {
  return type === 'f32'
    ? { type, shape, data: Float32Array.from(data) }
    : { type, shape, data: BigInt64Array.from(data as Iterable<number>, BigInt) };
}
