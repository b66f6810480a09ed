// Lowers a model's config and tensor names to its program. The model room's block files build the blocks, with a
// builder that records operations. The operations before and after the blocks are recorded here.

import { UnsupportedError } from '../base/portable.js';
import { blockTensors, buildWith, linearsOf, type ModelConfig, type TensorNames } from '../model/portable.js';
import type { Operation, Program, Rowed } from './program.js';
import { ProgramBuilder, ropesOf } from './program-builder.js';
import { Recorder, type TakesIntegers } from './recorder.js';

/** @throws UnsupportedError E_UNSUPPORTED_DECODER: the decoder writes text, token after token */
function requireText({ family, image, causal, embeds, headless }: ModelConfig): void {
  if (!image && causal && !embeds && !headless) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_DECODER',
    `The decoder writes text; a ${family} model reads ${image ? 'images' : 'whole texts'} and writes none. Score it with layerwise evaluate.`,
    { family },
  );
}

/** `takesIntegers` says for a weight's name whether its linear reads quantised activations. */
export function lowerModel(config: ModelConfig, layout: TensorNames, takesIntegers: TakesIntegers): Program {
  requireText(config);
  const buffers: Rowed[] = [];
  const quantised: Rowed[] = [];
  const widen = (recorder: Recorder): readonly Operation[] => {
    for (const [i, one] of recorder.buffers.entries()) buffers[i] = largest(buffers[i], one);
    for (const [i, one] of recorder.quantised.entries()) quantised[i] = largest(quantised[i], one);
    return recorder.operations;
  };
  const embed = widen(recordEmbedding(config, layout, takesIntegers));
  const blocks = Array.from({ length: config.blocks }, (_, block) => {
    const tensors = new Map(blockTensors(config, layout, block).map(({ role, name }) => [role, name]));
    const rows = new Map(linearsOf(config, layout, block).map(({ kind, rows }) => [kind, rows]));
    const builder = new ProgramBuilder({
      config,
      block,
      tensor: (role) => tensors.get(role),
      rows: (role) => rows.get(role)!,
      takesIntegers,
    });
    buildWith(config, builder);
    return widen(builder.recorder);
  });
  const { recorder, logits } = recordHead(config, layout, new Recorder(takesIntegers, buffers, quantised));
  const { headDim, vocabulary, attention, logitCap } = config;
  const norms = [...blocks.flat(), ...recorder.operations].filter((operation) => operation.kind === 'norm');
  const storedMinusOne = norms.flatMap(({ norm, weight }) =>
    norm === 'rms+1' && weight !== undefined ? [weight] : [],
  );
  return {
    embed,
    blocks,
    head: recorder.operations,
    logits,
    buffers: recorder.buffers,
    quantised: recorder.quantised,
    headBuffers: buffers.length,
    headQuantised: quantised.length,
    widths: config.widths.map(({ heads, kvHeads }) => ({ heads, kvHeads })),
    headDim,
    vocabulary,
    attention,
    logitCap,
    positionOffset: config.embedding.positionOffset ?? 0,
    ropes: ropesOf(config),
    storedMinusOne,
  };
}

/** A buffer large enough for either of two buffers that are not used at once. */
const largest = (one: Rowed | undefined, other: Rowed): Rowed => ({
  width: Math.max(one?.width ?? 0, other.width),
  perToken: Math.max(one?.perToken ?? 0, other.perToken),
});

function recordEmbedding(config: ModelConfig, layout: TensorNames, takesIntegers: TakesIntegers): Recorder {
  const recorder = new Recorder(takesIntegers, [{ width: config.hidden, perToken: 1 }]);
  const x = recorder.place('x');
  const { width, scale, positionOffset } = config.embedding;
  const y = layout.projectIn ? recorder.allocate(width) : x;
  recorder.write({ kind: 'look', table: layout.embedding, by: 'token', y });
  if (scale !== 1) recorder.write({ kind: 'scale', x: y, y, factor: scale });
  if (layout.projectIn) {
    const projected = recorder.linear(recorder.name(y), layout.projectIn, undefined, config.hidden);
    recorder.write({ kind: 'copy', x: recorder.place(projected), y: x });
  }
  if (positionOffset !== undefined) {
    const position = recorder.allocate(config.hidden);
    recorder.write({ kind: 'look', table: layout.positions!, by: 'position', y: position });
    recorder.write({ kind: 'add', x: position, y: x });
  }
  return recorder;
}

function recordHead(config: ModelConfig, layout: TensorNames, recorder: Recorder) {
  const x = recorder.place('x');
  const picked = recorder.allocate(config.hidden);
  recorder.write({ kind: 'pick', x, y: picked });
  let value = picked;
  if (layout.finalNorm !== undefined) {
    value = recorder.allocate(config.hidden);
    const [weight, bias] = (['weight', 'bias'] as const).map((part) => `${layout.finalNorm}.${part}`);
    recorder.write({
      kind: 'norm',
      norm: config.norm,
      x: picked,
      y: value,
      heads: 1,
      weight: config.normAffine ? weight : undefined,
      bias: config.normAffine && config.norm === 'layer' ? bias : undefined,
      epsilon: config.normEps,
    });
  }
  let name = recorder.name(value);
  if (layout.projectOut) name = recorder.linear(name, layout.projectOut, undefined, config.embedding.width);
  const logits = recorder.place(recorder.linear(name, layout.head, undefined, config.vocabulary));
  return { recorder, logits };
}
