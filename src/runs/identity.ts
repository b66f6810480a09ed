// What makes a run the same run. An interrupted one is continued only by one that would come to the same bytes, so
// everything counts but what is named here: a new setting is part of the identity without anyone's doing.

import { type OnProgress, VERSION } from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';
import type { PreparedTexts } from './texts.js';
import { openWorkspace, type Workspace } from './workspace.js';

/** Settings that change no result: where and how fast, or what the hashes and the texts' records say better. */
const WITHOUT_EFFECT = new Set([
  ...['threads', 'onProgress', 'out', 'resume', 'push'],
  ...['checkpoint', 'calibration', 'validation', 'test', 'tasks'],
  // These say how texts are cut, which the texts' records say where there is a text.
  ...['calibrationSamples', 'calibrationOrder', 'sequenceLength'],
  // These follow from the others.
  ...['searches', 'aligns'],
]);

/** Policies, criteria and methods by their names. */
function nameOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('name' in value)) return value;
  return (value as { readonly name: unknown }).name;
}

/** Everything that the result of `command` depends on. */
export function identityOf(
  command: string,
  settings: Readonly<Record<string, unknown>>,
  hashes: Readonly<Record<string, string>>,
  { calibration, validation, test }: PreparedTexts,
  tasks: unknown,
): unknown {
  const options = Object.entries(settings)
    .filter(([name]) => !WITHOUT_EFFECT.has(name))
    .map(([name, value]) => [name, nameOf(value)] as const);
  return {
    version: VERSION,
    command,
    hashes,
    texts: [calibration, validation, test].map((text) => text?.record),
    tasks,
    options: Object.fromEntries(options),
  };
}

/**
 * The workspace of a run, its own or that of an earlier attempt, and the hashes of the checkpoint.
 * @throws OptionError E_OPTION_RESUME, ResourceError
 */
export async function openRun(
  command: string,
  settings: { readonly out: string; readonly onProgress: OnProgress },
  model: Model,
  texts: PreparedTexts,
  tasks?: unknown,
): Promise<{ readonly hashes: Readonly<Record<string, string>>; readonly workspace: Workspace }> {
  settings.onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
  const hashes = await hashCheckpoint(model.checkpoint);
  const identity = identityOf(command, settings, hashes, texts, tasks);
  return { hashes, workspace: await openWorkspace(settings.out, identity) };
}
