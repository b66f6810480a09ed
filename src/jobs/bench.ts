// How fast a packed model runs, against its dense twin in the same run: the same numbers, with their zeros.

import { availableParallelism } from 'node:os';
import { type OnProgress, OptionError, silent } from '../base/index.js';
import { type OpenDecoder, openDecoder } from '../decoder/index.js';
import { describeTensors, layoutOf, readModelConfig } from '../model/index.js';
import { makeDenseTwin, openPacked, type PackedModel, readPackedConfig, requireTensors } from '../packed/index.js';
import { describePacked } from './inspect-packed.js';
import { type Contender, measureSpeeds, type Speeds } from './measure.js';

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
  const threads = atLeastOne('threads', options.threads ?? availableParallelism());
  const tokens = atLeastOne('tokens', options.tokens ?? 32);
  const turns = atLeastOne('turns', options.turns ?? 5);
  const { onProgress = silent } = options;
  const packed = await openPacked(options.model);
  const open: OpenDecoder[] = [];
  try {
    const config = readModelConfig(await readPackedConfig(packed));
    const layout = layoutOf(config, (name) => packed.tensors.has(name));
    const described = describeTensors(config, layout);
    requireTensors(packed, described);
    const prompt = Math.min(atLeastOne('prompt-tokens', options.promptTokens ?? 256), config.maxPositions);
    const positions = Math.min(config.maxPositions, Math.max(prompt, tokens + 16));
    const report = describePacked(options.model, packed.fileBytes, packed.directory, config, described);
    onProgress({ kind: 'stage', stage: 'reading' });
    const contenders: Contender[] = [];
    for (const model of [packed, await makeDenseTwin(packed)]) {
      const decoder = await openDecoder(model, { threads, positions });
      open.push(decoder);
      contenders.push({ ...describeContender(model), decoder });
    }
    const { bits, floor } = report.all;
    return {
      model: { bytes: packed.fileBytes, bitsPerWeight: bits, floorBitsPerWeight: floor, sparsity: report.sparsity },
      ...(await measureSpeeds(contenders, { tokens: Math.min(tokens, positions - 16), prompt, turns, onProgress })),
    };
  } finally {
    await Promise.all(open.map((decoder) => decoder.close()));
    await packed.close();
  }
}

/** A packed model as it is listed: its linears' layouts, and the bytes that a token reads. */
export function describeContender({ directory }: PackedModel): Omit<Contender, 'decoder'> {
  const linears = directory.tensors.filter(({ role }) => role === 'linear');
  const layouts = new Set(linears.map(({ layout }) => layout.layout));
  const weights = linears.reduce((sum, { layout }) => sum + layout.rows * layout.columns, 0);
  const nonzeros = linears.reduce((sum, tensor) => sum + tensor.nonzeros, 0);
  const bytes = directory.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
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

function atLeastOne(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new OptionError(
    `E_OPTION_${option.toUpperCase().replace('-', '_')}`,
    `--${option}: expected a whole number from 1, got ${value}.`,
    {
      option,
      got: value,
    },
  );
}
