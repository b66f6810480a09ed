// Perplexity of a .lw file, through the runtime that runs it: the windows are those of the checkpoint it was made from.

import { OptionError } from '../base/index.js';
import { summarise } from '../evaluate/index.js';
import type { Evaluation } from '../records/index.js';
import { openForText, scoreWindows } from '../runtime/index.js';
import type { RunSettings } from './settings.js';
import { prepareText } from './texts.js';

type Asked = { readonly text: string; readonly sequenceLength: number | undefined };

/** @throws OptionError E_OPTION_DEVICE, E_OPTION_SEQUENCE_LENGTH; CheckpointError, UnsupportedError, ResourceError */
export async function evaluatePacked(path: string, asked: Asked, settings: RunSettings): Promise<Evaluation> {
  const { device, threads, onProgress } = settings;
  if (device !== 'cpu') {
    throw new OptionError(
      'E_OPTION_DEVICE',
      `--device: a .lw file runs on the cpu, got ${device}. Leave the option out, or give the checkpoint.`,
      { option: 'device', got: device },
    );
  }
  const model = await openForText(path, { threads, sequences: 1, positions: asked.sequenceLength, onProgress });
  try {
    const { info, tokenizer } = model;
    const { windows } = await prepareText({ config: info }, tokenizer, {
      path: asked.text,
      role: 'test',
      length: info.maxPositions,
      order: 'all',
      seed: 0,
      onProgress,
    });
    onProgress({ kind: 'stage', stage: 'evaluating', total: windows.windows.length });
    return summarise(await scoreWindows(model, windows, onProgress), windows.length);
  } finally {
    await model.close();
  }
}
