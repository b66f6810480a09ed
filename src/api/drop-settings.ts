// The options of `drop`, checked and completed.

import { OptionError } from '../base/index.js';
import type { RepairWay } from '../pipeline/index.js';
import { type DropMethod, findDropMethod } from '../plan/index.js';
import {
  conflict,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  oneOf,
  parseTargetShares,
  type RunOptions,
  type RunSettings,
  type Shares,
  type TextSettings,
  type WindowingOptions,
} from '../runs/index.js';

export type DropOptions = RunOptions &
  WindowingOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Number of blocks to remove: at least 1, and fewer than the model has. */
    readonly blocks: number;
    /** `shortgpt`, `angular`, `deepest`, `perplexity` or `repaired`. */
    readonly method: string;
    /**
     * `linear`: fits the blocks before the gaps to what the removed ones did, in closed form, on the calibration text. `stream`:
     * the blocks behind follow the dense stream too, linear by linear. Defaults to no repair.
     */
    readonly repair?: string;
    /** How far `stream` follows: `alpha` of a linear's input error, `gamma` of the residual's; 0 to 1. Defaults to 1 for both. */
    readonly targetShares?: Partial<Shares>;
    /**
     * Whether a removed block and the one before it become one block with the best heads and channels of both. Defaults to
     * false.
     */
    readonly merge?: boolean;
    /** Text files (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. `shortgpt`, `angular` and `repair` measure on the first, `perplexity` chooses by the second. */
    readonly calibration?: string;
    readonly validation?: string;
    /** Scored once, with the dense and the smaller model. It does not influence the choice. */
    readonly test?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type DropSettings = RunSettings &
  TextSettings & {
    readonly checkpoint: string;
    readonly out: string;
    readonly blocks: number;
    readonly method: DropMethod;
    /** Undefined where the blocks that stay are kept as they are. */
    readonly way: RepairWay | undefined;
    readonly greedyTokens: number;
    readonly resume: boolean;
  };

/** @throws OptionError */
export function normaliseDrop(options: DropOptions): DropSettings {
  const { blocks } = options;
  if (!Number.isInteger(blocks) || blocks < 1) refuseBlocks(blocks);
  const method = findDropMethod(options.method);
  if (method.needs !== undefined && options[method.needs] === undefined) {
    throw new OptionError(
      `E_OPTION_${method.needs.toUpperCase()}`,
      `--${method.needs}: expected a text file; --method ${method.name} chooses blocks by it. Pass one, or use --method deepest.`,
      { option: method.needs },
    );
  }
  const way = normaliseWay(options, method);
  return {
    ...normaliseRun(options),
    checkpoint: options.checkpoint,
    out: options.out,
    blocks,
    method,
    way,
    calibration: method.needs === 'calibration' || way ? options.calibration : undefined,
    validation: options.validation,
    test: options.test,
    ...normaliseWindowing(options),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
  };
}

function normaliseWay(options: DropOptions, method: DropMethod): RepairWay | undefined {
  const { repair, merge = false, targetShares, calibration } = options;
  const kind = repair === undefined ? undefined : oneOf('repair', repair, ['linear', 'stream']);
  if (targetShares && kind !== 'stream') conflict('target-shares', 'repair', 'only --repair stream follows a stream');
  if (kind === undefined && !merge) {
    if (method.name !== 'repaired') return undefined;
    conflict(
      'method',
      'repair',
      '--method repaired scores repaired removals; add --repair linear, --repair stream or --merge',
    );
  }
  if (calibration === undefined) {
    const flag = kind === undefined ? '--merge' : `--repair ${kind}`;
    const message = `--calibration: expected a text file; ${flag} fits weights on it. Pass one, or leave it out.`;
    throw new OptionError('E_OPTION_CALIBRATION', message, { option: 'calibration' });
  }
  const follow = kind === 'stream' ? { alpha: 1, gamma: 1, ...parseTargetShares(targetShares) } : undefined;
  return { merge, fit: kind !== undefined, follow };
}

/** @throws OptionError E_OPTION_BLOCKS */
export function refuseBlocks(got: number, blocks?: number): never {
  const most = blocks === undefined ? 'and fewer than the model has' : `and fewer than the model's ${blocks}`;
  throw new OptionError('E_OPTION_BLOCKS', `--blocks: expected a whole number, at least 1 ${most}, got ${got}.`, {
    option: 'blocks',
    got,
    ...(blocks === undefined ? {} : { blocks }),
  });
}
