// Compares the speed of a packed model with its dense twin in the same run: the same numbers, zeros included.

import { availableParallelism } from 'node:os';
import { type OnProgress, silent } from '../base/index.js';
import {
  DECODER_DEVICES,
  type DescribedModel,
  type OpenDecoder,
  openDecoder,
  readPackedModel,
} from '../decoder/index.js';
import { linearsOf, weightName } from '../model/index.js';
import { makeDenseTwin, openPacked, type PackedModel } from '../packed/index.js';
import { oneOf, wholeNumber } from '../runs/index.js';
import { describePacked } from './inspect-packed.js';
import { type Contender, measureSpeeds, type Speeds } from './measure-speed.js';

export type BenchOptions = {
  /** A .lw file. */
  readonly model: string;
  /** What computes: `cpu` or `webgpu`. Defaults to `cpu`. */
  readonly device?: string;
  /** Defaults to the number of cores. */
  readonly threads?: number;
  /** Tokens to decode per turn. Defaults to 32. */
  readonly tokens?: number;
  /** Tokens of the prompt. Defaults to 256, or as many as the model has positions. */
  readonly promptTokens?: number;
  /** Defaults to 5. */
  readonly turns?: number;
  readonly onProgress?: OnProgress;
};

export type BenchResult = Speeds & {
  readonly model: {
    readonly bytes: number;
    readonly bitsPerWeight: number;
    readonly floorBitsPerWeight: number;
    readonly sparsity: number;
  };
};

/** @throws OptionError E_OPTION_THREADS …, E_OPTION_DEVICE; CheckpointError, UnsupportedError, ResourceError */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  const threads = wholeNumber('threads', options.threads ?? availableParallelism(), 1, 1024);
  const device = oneOf('device', options.device ?? 'cpu', DECODER_DEVICES);
  const tokens = wholeNumber('tokens', options.tokens ?? 32, 1, 1 << 24);
  const promptTokens = wholeNumber('prompt-tokens', options.promptTokens ?? 256, 1, 1 << 24);
  const turns = wholeNumber('turns', options.turns ?? 5, 1, 1 << 24);
  const { onProgress = silent } = options;
  const packed = await openPacked(options.model);
  const open: OpenDecoder[] = [];
  try {
    const described = await readPackedModel(packed);
    const { config } = described;
    const prompt = Math.min(promptTokens, config.maxPositions);
    const positions = Math.min(config.maxPositions, Math.max(prompt, tokens + 16));
    onProgress({ kind: 'stage', stage: 'reading' });
    const contenders: Contender[] = [];
    for (const model of [packed, await makeDenseTwin(packed)]) {
      const decoder = await openDecoder(model, { threads, device, positions });
      open.push(decoder);
      contenders.push({ ...describeContender(model, described), decoder });
    }
    return {
      model: describeBenched(packed, packed.fileBytes, described),
      ...(await measureSpeeds(contenders, { tokens: Math.min(tokens, positions - 16), prompt, turns, onProgress })),
    };
  } finally {
    await Promise.all(open.map((decoder) => decoder.close()));
    await packed.close();
  }
}

/** The description of the model in a bench's document; the model takes `bytes` bytes. */
export function describeBenched(
  { path, directory }: PackedModel,
  bytes: number,
  described: DescribedModel,
): BenchResult['model'] {
  const { all, sparsity } = describePacked(path, bytes, directory, described);
  return { bytes, bitsPerWeight: all.bits, floorBitsPerWeight: all.floor, sparsity };
}

/** The description of a packed model: the layouts of its linears, and the bytes read per token. */
export function describeContender({ directory }: PackedModel, described: DescribedModel): Omit<Contender, 'decoder'> {
  const shares = expertShares(described);
  const linears = directory.tensors.filter(({ role }) => role === 'linear');
  const layouts = new Set(linears.map(({ layout }) => layout.layout));
  const weights = linears.reduce((sum, { layout }) => sum + layout.rows * layout.columns, 0);
  const nonzeros = linears.reduce((sum, tensor) => sum + tensor.nonzeros, 0);
  const bytes = directory.tensors.reduce((sum, { name, bytes }) => sum + bytes * (shares.get(name) ?? 1), 0);
  const tied = !directory.tensors.some(({ role }) => role === 'head');
  const table = directory.tensors.find(({ role }) => role === 'embedding')!;
  return {
    values: directory.values,
    layout: [...layouts].sort().join(' and '),
    sparsity: 1 - nonzeros / weights,
    // A tied table is also the head, which is read completely.
    bytesPerToken: tied ? bytes : bytes - table.bytes,
  };
}

/** The share of the experts' tensors that one token reads. */
function expertShares({ config, layout }: DescribedModel): ReadonlyMap<string, number> {
  return new Map(
    config.mixtures.flatMap((mixture, block) =>
      linearsOf(config, layout, block).flatMap((linear) =>
        linear.expert === undefined ? [] : [[weightName(linear), mixture!.perToken / mixture!.experts] as const],
      ),
    ),
  );
}
