// Uploads the output of a run to the Hub, with a model card made from its record. Also the last step of `prune` with `push`:
// the output is complete by then, so a failure removes nothing and names the command to try again.

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  LayerwiseError,
  messageOf,
  type OnProgress,
  OptionError,
  RemoteError,
  readDocument,
  silent,
} from '../base/index.js';
import { type PushResult, type PushTarget, pushFolder, renderCard } from '../hub/index.js';
import { type PushedRecord, parsePushedRecord } from '../records/index.js';
import { quote } from '../runs/index.js';

export type PushOptions = PushTarget & {
  /** Directory that a command wrote. */
  readonly run: string;
  readonly onProgress?: OnProgress;
};

/**
 * Uploads the output of a run to a model repository. Creates the repository if it does not exist.
 * @throws OptionError E_OPTION_PUSH, E_OPTION_PRIVATE, E_OPTION_MANIFEST, E_OPTION_RECORD; RemoteError; ResourceError
 */
export async function push({ run, onProgress = silent, ...target }: PushOptions): Promise<PushResult> {
  const record = await readRecord(run);
  const sourceCard = await readFile(join(run, 'README.md'), 'utf8').catch(() => undefined); // not every model has one
  return await pushFolder(run, target, renderCard({ repo: target.repo, record, sourceCard }), onProgress);
}

/** Pushes a run that has just finished. @throws RemoteError E_REMOTE_PUSH with the command that tries again */
export async function pushFinished(options: PushOptions): Promise<PushResult> {
  try {
    return await push(options);
  } catch (cause) {
    const { run, repo } = options;
    const command = `layerwise push ${quote(run)} --to ${repo}${options.private ? ' --private' : ''}`;
    const why = messageOf(cause);
    throw new RemoteError(
      'E_REMOTE_PUSH',
      `The output in ${run} is complete, but its upload failed. ${why} To upload it later: ${command}`,
      { run, repo, command, code: cause instanceof LayerwiseError ? cause.code : null },
      { cause },
    );
  }
}

async function readRecord(run: string): Promise<PushedRecord> {
  const path = join(run, 'layerwise.json');
  if (!(await stat(path).catch(() => undefined))) {
    throw new OptionError(
      'E_OPTION_PUSH',
      `${run}: expected the output of layerwise prune, quantise, cut, drop, experts, grow or unlearn, with its layerwise.json.`,
      {
        option: 'run',
        got: run,
      },
    );
  }
  return parsePushedRecord(await readDocument(path), path);
}
