// The identity of a run. An interrupted run is only continued by a run that would produce the same bytes. So every setting
// counts except those listed here, and a new setting is part of the identity automatically.

import { type OnProgress, VERSION } from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import type { Model } from '../model/index.js';
import type { PreparedTexts } from './texts.js';
import { openWorkspace, type Workspace } from './workspace.js';

/** Settings that do not change the result, or that hashes and the records of texts describe more exactly. */
const WITHOUT_EFFECT = new Set([
  ...['threads', 'onProgress', 'out', 'resume', 'push', 'queue'],
  ...['checkpoint', 'calibration', 'validation', 'test', 'tasks'],
  ...['classes', 'templates'],
  // These say how texts are cut; the records of the texts contain that.
  ...['calibrationSamples', 'calibrationOrder', 'sequenceLength', 'windowStart'],
  // These follow from other settings.
  ...['searches', 'aligns'],
]);

/** Replaces policies, criteria and methods by their names. */
function nameOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('name' in value)) return value;
  return (value as { readonly name: unknown }).name;
}

/** Everything that determines the result of `command`. */
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
 * Opens the workspace of a run, new or from an earlier attempt, and hashes the checkpoint.
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
