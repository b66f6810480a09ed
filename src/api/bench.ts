// How fast a packed model runs, against its dense twin in the same run: the same numbers, with their zeros.

import { availableParallelism } from 'node:os';
import { type OnProgress, silent } from '../base/index.js';
import { type DescribedModel, type OpenDecoder, openDecoder, readPackedModel } from '../decoder/index.js';
import { linearsOf, weightName } from '../model/index.js';
import { makeDenseTwin, openPacked, type PackedModel } from '../packed/index.js';
import { wholeNumber } from '../runs/index.js';
import { describePacked } from './inspect-packed.js';
import { type Contender, measureSpeeds, type Speeds } from './measure-speed.js';

export type BenchOptions = {
  /** A .lw file. */
  readonly model: string;
  /** Defaults to the cores there are. */
  readonly threads?: number;
  /** Tokens decoded in each turn. Defaults to 32. */
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

/** @throws OptionError E_OPTION_THREADS …; CheckpointError, UnsupportedError, ResourceError */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  const threads = wholeNumber('threads', options.threads ?? availableParallelism(), 1, 1024);
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
      const decoder = await openDecoder(model, { threads, positions });
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

/** What a bench's document says of the model, which takes `bytes` bytes. */
export function describeBenched(
  { path, directory }: PackedModel,
  bytes: number,
  described: DescribedModel,
): BenchResult['model'] {
  const { all, sparsity } = describePacked(path, bytes, directory, described);
  return { bytes, bitsPerWeight: all.bits, floorBitsPerWeight: all.floor, sparsity };
}

/** A packed model as it is listed: its linears' layouts, and the bytes that a token reads. */
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
    // A tied table is the head too, which is read whole.
    bytesPerToken: tied ? bytes : bytes - table.bytes,
  };
}

/** Of the tensors of experts: how many of them a token reads, as a share of all. */
function expertShares({ config, layout }: DescribedModel): ReadonlyMap<string, number> {
  return new Map(
    config.mixtures.flatMap((mixture, block) =>
      linearsOf(config, layout, block).flatMap((linear) =>
        linear.expert === undefined ? [] : [[weightName(linear), mixture!.perToken / mixture!.experts] as const],
      ),
    ),
  );
}
