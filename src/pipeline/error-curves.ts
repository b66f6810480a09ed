// How errors travel through a model under one plan: the error that each treated block makes alone, what its linears carry on
// when each keeps its own output, and what is left when they follow the dense stream. The last windows of the text are held
// back from the treatment, and the errors are taken on these.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileError, InternalError, type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { embedSamples, type Text } from '../stream/index.js';
import { runDense, TRACED_WINDOWS } from './dense.js';
import { errorsAlone } from './errors.js';
import { pruneSequentially } from './sequential.js';
import type { StreamTarget } from './stream-target.js';
import type { Treating } from './treat.js';

export type ErrorCurves = {
  readonly alone: readonly number[];
  readonly carried: readonly number[];
  readonly corrected: readonly number[];
  /** Windows that the errors were taken on. */
  readonly windows: number;
};

/** The operator needs a Gram matrix; `text` has two windows at least. */
export async function measureErrorCurves(
  treating: Treating,
  target: StreamTarget,
  engine: Engine,
  { content: { windows, length } }: Pick<Text, 'content'>,
  onProgress: OnProgress,
): Promise<ErrorCurves> {
  const { model } = treating;
  if (windows.length < 2) throw new InternalError('E_INTERNAL_EVIDENCE', 'Curves of errors need two windows of text.');
  const kept = Math.min(TRACED_WINDOWS, Math.ceil(windows.length / 4));
  const root = await mkdtemp(join(tmpdir(), 'layerwise-errors-')).catch((error) => {
    throw fileError(error, tmpdir());
  });
  return await withResources(async (own) => {
    await own({ close: () => rm(root, { recursive: true, force: true }) });
    const part = (some: readonly Int32Array[]): Promise<Text> =>
      embedSamples(own, engine, model, { windows: some, length });
    const calibration = await part(windows.slice(0, -kept));
    const validation = await part(windows.slice(-kept));
    const { trace } = await runDense(engine, model, validation, undefined, onProgress);
    await own(trace!.store);
    const errorsWith = async (name: string, how: StreamTarget | undefined): Promise<readonly number[]> => {
      onProgress({ kind: 'stage', stage: `errors: ${name}`, total: model.config.blocks });
      const dir = join(root, name);
      const input = { ...treating, engine, calibration, validation, trace, target: how, dir, onProgress };
      return (await pruneSequentially(input)).errors;
    };
    const carried = await errorsWith('carried', undefined);
    const alone = await errorsAlone(engine, model, trace!, validation, join(root, 'carried'));
    const corrected = await errorsWith('corrected', target);
    return { alone, carried, corrected, windows: kept };
  });
}
