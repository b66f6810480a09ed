// A graph as an ONNX model (IR 11, opset 23), written with the field numbers of onnx.proto. Initialisers in files
// become external data, which the engine maps in place.

import { UnsupportedError } from '../base/index.js';
import type { DType } from '../tensor/index.js';
import type { Attribute, Dimension, ElementType, Graph, Initializer, ValueInfo } from './graph.js';
import { MessageWriter } from './protobuf.js';

const OPSET = 23;
const IR_VERSION = 11;

/** onnx.TensorProto.DataType. */
const ONNX_DTYPE: Partial<Record<DType, number>> = { F32: 1, I64: 7, F16: 10, F64: 11, BF16: 16 };
const ONNX_ELEMENT: Record<ElementType, number> = { f32: 1, i64: 7 };

/** The bytes of the ONNX model of `graph`. @throws UnsupportedError E_UNSUPPORTED_DTYPE */
export function serialiseOnnx(graph: Graph): Uint8Array {
  const model = new MessageWriter();
  model.int(1, IR_VERSION).text(2, 'layerwise');
  model.message(7, (g) => {
    for (const node of graph.nodes) {
      g.message(1, (n) => {
        for (const input of node.inputs) n.text(1, input);
        for (const output of node.outputs) n.text(2, output);
        n.text(3, node.outputs[0]!).text(4, node.op);
        for (const [name, attribute] of Object.entries(node.attributes)) n.message(5, (a) => write(a, name, attribute));
      });
    }
    g.text(2, graph.name);
    for (const initializer of graph.initializers) g.message(5, (t) => writeInitializer(t, initializer));
    for (const input of graph.inputs) g.message(11, (v) => writeValue(v, input));
    for (const output of graph.outputs) g.message(12, (v) => writeValue(v, output));
  });
  model.message(8, (o) => o.text(1, '').int(2, OPSET));
  return model.finish();
}

function write(a: MessageWriter, name: string, attribute: Attribute): void {
  a.text(1, name);
  switch (attribute.kind) {
    case 'float':
      a.float(2, attribute.value).int(20, 1);
      break;
    case 'int':
      a.int(3, attribute.value).int(20, 2);
      break;
    case 'ints':
      for (const value of attribute.value) a.int(8, value);
      a.int(20, 7);
      break;
    case 'text':
      a.text(4, attribute.value).int(20, 3);
      break;
    default:
      attribute satisfies never;
  }
}

function writeInitializer(t: MessageWriter, { name, dtype, shape, source }: Initializer): void {
  const type = ONNX_DTYPE[dtype];
  if (type === undefined) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_DTYPE',
      `Tensor ${name} has dtype ${dtype}; the engine computes with ${Object.keys(ONNX_DTYPE).join(', ')}.`,
      { tensor: name, dtype },
    );
  }
  for (const dimension of shape) t.int(1, dimension);
  t.int(2, type).text(8, name);
  if (source.kind === 'bytes') {
    t.bytes(9, source.bytes);
    return;
  }
  const external = { location: source.file, offset: String(source.offset), length: String(source.length) };
  for (const [key, value] of Object.entries(external)) t.message(13, (e) => e.text(1, key).text(2, value));
  t.int(14, 1);
}

function writeValue(v: MessageWriter, { name, type, shape }: ValueInfo): void {
  v.text(1, name).message(2, (t) =>
    t.message(1, (tensor) =>
      tensor.int(1, ONNX_ELEMENT[type]).message(2, (s) => {
        for (const dimension of shape) s.message(1, (d) => writeDimension(d, dimension));
      }),
    ),
  );
}

function writeDimension(d: MessageWriter, dimension: Dimension): void {
  if (typeof dimension === 'number') d.int(1, dimension);
  else d.text(2, dimension);
}
