// Makes one form of a model with the command that users would run, and scores it against the dense model. An attempt that was
// killed continues where it was: runs have a workspace of their own, and a file that is there is complete.

import { copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, readDocument } from '../base/index.js';
import { statIfThere } from '../checkpoint/index.js';
import { openTwin, readGguf } from '../gguf/index.js';
import { blockId, type FrontierForm, type Manifest, type Plan, parseManifest } from '../records/index.js';
import type { RunSettings, Shares, TextSettings, Workspace } from '../runs/index.js';
import { describeValues } from '../words/index.js';
import { compress } from './compress.js';
import { type EvaluateOptions, evaluate } from './evaluate.js';
import { exportModel } from './export.js';
import type { Contender, Making } from './frontier-contenders.js';
import { inspectPacked } from './inspect-packed.js';
import { pack } from './pack.js';
import { quantise } from './quantise.js';

export type FormSettings = RunSettings &
  TextSettings & {
    readonly checkpoint: string;
    readonly test: string;
    readonly targetShares: Partial<Shares> | undefined;
    readonly maxTrials: number | undefined;
    readonly greedyTokens: number;
  };

/** A form before it is compared with others. */
export type MadeForm = Omit<FrontierForm, 'fronts' | 'ratio' | 'speed'>;

/** How `evaluate` scores anything here. */
export const scoring = (
  { test: text, sequenceLength, windowStart, threads, onProgress }: FormSettings,
  checkpoint: string,
): EvaluateOptions => ({
  ...{ checkpoint, text, threads, onProgress },
  ...(sequenceLength === undefined ? {} : { sequenceLength }),
  ...(windowStart === undefined ? {} : { windowStart }),
});

export const packedPath = (workspace: Workspace, { name }: Contender): string => workspace.at('packed', `${name}.lw`);

/** Makes and scores a form. What is temporary lies in the workspace's `work`. @throws as the commands */
export async function makeForm(
  contender: Contender,
  blocks: number,
  settings: FormSettings,
  workspace: Workspace,
): Promise<MadeForm> {
  const { making, name } = contender;
  const score = async (path: string): Promise<Pick<MadeForm, 'evaluation' | 'fidelity'>> => {
    const { checkpoint: dense, greedyTokens } = settings;
    const { text, fidelity } = await evaluate({ ...scoring(settings, path), dense, greedyTokens });
    return { evaluation: text!, fidelity: fidelity! };
  };
  if (making.by === 'export') {
    const path = workspace.at('work', `${name}.gguf`);
    const { checkpoint, onProgress } = settings;
    const { type } = making;
    if (!(await statIfThere(path))) await exportModel({ checkpoint, to: 'gguf', type, out: path, onProgress });
    // A twin of its own: the user's cache would keep one.
    const { dir } = await openTwin(path, workspace.at('work', 'twins'), onProgress);
    return { file: 'gguf', ...(await measureGguf(path)), ...(await score(dir)) };
  }
  const path = packedPath(workspace, contender);
  const chosen = await makePacked(making, path, workspace.at('work', name), blocks, settings, workspace);
  const { parts, fileBytes: bytes } = await inspectPacked(path);
  const { bits: bitsPerWeight } = parts.find(({ part }) => part === 'linears')!;
  return { file: 'lw', ...{ chosen, bytes, bitsPerWeight }, ...(await score(path)) };
}

/** The bytes of the file, the bits of the weights of its blocks' linears, and their types where there are several. */
async function measureGguf(path: string): Promise<Pick<MadeForm, 'bytes' | 'bitsPerWeight' | 'chosen'>> {
  const { tensors } = await readGguf(path);
  // Routers are float32 in every type.
  const linears = [...tensors.values()].filter(
    ({ name, shape }) => name.startsWith('blk.') && shape.length > 1 && !name.includes('ffn_gate_inp'),
  );
  const weights = linears.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const bits = 8 * linears.reduce((sum, { length }) => sum + length, 0);
  const counts = new Map<string, number>();
  for (const { type } of linears) counts.set(type.name, (counts.get(type.name) ?? 0) + 1);
  const chosen = counts.size < 2 ? '' : [...counts].map(([type, count]) => `${count} linears in ${type}`).join(', ');
  return { bytes: (await statIfThere(path))!.size, bitsPerWeight: bits / weights, chosen };
}

type Packing = Exclude<Making, { readonly by: 'export' }>;
type Editing = Exclude<Packing, { readonly by: 'pack' }>;

/** Makes the packed file. Returns what was chosen, in words. */
async function makePacked(
  making: Packing,
  path: string,
  dir: string,
  blocks: number,
  settings: FormSettings,
  workspace: Workspace,
): Promise<string> {
  const { checkpoint, onProgress } = settings;
  const packFrom = async (source: string, values: string): Promise<void> => {
    // Zeros at the bytes that they can be had for.
    const layout = making.by === 'zeros' ? 'smallest' : 'auto';
    if (!(await statIfThere(path))) await pack({ checkpoint: source, out: path, values, layout, onProgress });
  };
  if (making.by === 'pack') {
    await packFrom(checkpoint, 'f32');
    return '';
  }
  const manifest = await edit(making, dir, blocks, settings, workspace);
  // Linears keep their own integers and scales; the embeddings and the head get 8 bits.
  await packFrom(dir, 'int8');
  return describeChosen(manifest, making.by !== 'quantise' || making.target === 'stream');
}

/** Makes the edited checkpoint, unless an earlier attempt has. */
async function edit(
  making: Editing,
  out: string,
  blocks: number,
  settings: FormSettings,
  workspace: Workspace,
): Promise<Manifest> {
  const isDone = (await statIfThere(out)) && !(await statIfThere(`${out}.partial`));
  const manifest = isDone
    ? await readManifest(out)
    : (await run(making, out, blocks, settings, workspace.at(SENSITIVITIES))).manifest;
  if (making.by === 'compress') await keepTable(join(out, SENSITIVITIES), workspace.at(SENSITIVITIES));
  return manifest;
}

const SENSITIVITIES = 'sensitivities.json';

async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, 'layerwise.json');
  return parseManifest(await readDocument(path), path);
}

/** Keeps the first table for the other budgets. */
async function keepTable(from: string, to: string): Promise<void> {
  if (await statIfThere(to)) return;
  try {
    await copyFile(from, `${to}.tmp`);
    await rename(`${to}.tmp`, to);
  } catch (error) {
    throw fileError(error, to);
  }
}

async function run(
  making: Editing,
  out: string,
  blocks: number,
  settings: FormSettings,
  table: string,
): Promise<{ readonly manifest: Manifest }> {
  const { validation, targetShares, maxTrials } = settings;
  // Greedy texts of validation windows would be thrown away.
  const common = { ...textsOf(settings), out, resume: true, greedyTokens: 0 };
  const stream = {
    target: 'stream',
    ...(targetShares ? { targetShares } : {}),
    ...(validation === undefined ? {} : { validation }),
  };
  switch (making.by) {
    case 'quantise': {
      const { bits, method, target } = making;
      return await quantise({ ...common, bits, method, ...(target === 'stream' ? stream : {}) });
    }
    case 'zeros':
      return await quantise({ ...common, ...stream, plan: zerosPlan(making, blocks), pattern: making.pattern });
    case 'compress':
      return await compress({
        ...{ ...common, ...stream, bits: making.bits },
        ...((await statIfThere(table)) ? { sensitivities: table } : {}),
        ...(maxTrials === undefined ? {} : { maxTrials }),
      });
    default:
      return making satisfies never;
  }
}

/** The checkpoint, and calibration text cut as for everything here. */
function textsOf(settings: FormSettings) {
  const { checkpoint, calibration, calibrationSamples, calibrationOrder, sequenceLength, windowStart } = settings;
  const { seed, threads, onProgress } = settings;
  return {
    ...{ checkpoint, calibrationOrder, seed, threads, onProgress },
    ...(calibrationSamples === undefined ? {} : { calibrationSamples }),
    ...(calibration === undefined ? {} : { calibration }),
    ...(sequenceLength === undefined ? {} : { sequenceLength }),
    ...(windowStart === undefined ? {} : { windowStart }),
  };
}

/** The same zeros and bits for all blocks. */
function zerosPlan({ bits, rate, pattern }: Extract<Making, { readonly by: 'zeros' }>, blocks: number): Plan {
  const treatment = { zeros: { rate, pattern }, bits: { bits, group: 128 } };
  const units = Object.fromEntries(Array.from({ length: blocks }, (_, block) => [blockId(block), treatment]));
  return { format: 'layerwise-plan', version: 2, units, from: { policy: 'uniform', values: {} } };
}

/** The shares of the stream and the widths that a run chose. */
function describeChosen({ plan, target, bits }: Manifest, follows: boolean): string {
  const counts = new Map<number, number>();
  for (const { bits: width, weights } of Object.values(bits?.linears ?? {})) {
    counts.set(width, (counts.get(width) ?? 0) + weights);
  }
  const all = [...counts.values()].reduce((a, b) => a + b, 0);
  const widths = [...counts]
    .sort(([a], [b]) => a - b)
    .map(([width, weights]) => `${((100 * weights) / all).toFixed(0)} % in ${width} bits`);
  const parts = [
    ...(counts.size > 1 ? widths : []),
    ...[describeValues(plan.from?.values ?? {})].filter(Boolean),
    // Validation text may have found that no share of the stream helps.
    ...(target ? [`α = ${target.alpha}, γ = ${target.gamma}`] : follows ? ['its own output, by validation text'] : []),
  ];
  return parts.join(', ');
}
