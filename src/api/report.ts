// Pages from records: report.html of a run, compare.html of a comparison, frontier.html of a frontier.

import { join } from 'node:path';
import { readDocument, requireAbsent, writeFileAtomic } from '../base/index.js';
import {
  type ActivationsRecord,
  type Comparison,
  type CutRecord,
  type DropRecord,
  type ExpertsRecord,
  type Frontier,
  type HealRecord,
  type Manifest,
  parseManifest,
  type UnlearnRecord,
  type WorkersRecord,
} from '../records/index.js';

import { readWorkers } from './workers-file.js';

/**
 * Writes the report of `<run>/layerwise.json` to `out`, which must not exist. Without `out` it replaces
 * `<run>/report.html`.
 * @throws OptionError E_OPTION_MANIFEST, E_OPTION_OUT_EXISTS, ResourceError
 */
export async function writeReport(
  run: string,
  out?: string,
): Promise<{ readonly path: string; readonly manifest: Manifest }> {
  const source = join(run, 'layerwise.json');
  if (out !== undefined) await requireAbsent(out);
  const manifest = parseManifest(await readDocument(source), source);
  const path = out ?? join(run, 'report.html');
  await writeFileAtomic(path, await drawReport(manifest, undefined, await readWorkers(run)));
  return { path, manifest };
}

// The charting library takes half a second to load, so it is loaded only when a page is drawn.

export const drawReport = async (
  manifest: Manifest,
  thumbnails?: ReadonlyMap<number, Uint8Array>,
  workers?: WorkersRecord,
): Promise<string> => (await import('../report/index.js')).renderReport(manifest, thumbnails, workers);

export const drawComparison = async (comparison: Comparison): Promise<string> =>
  (await import('../report/index.js')).renderComparison(comparison);

export const drawRemoval = async (record: DropRecord): Promise<string> =>
  (await import('../report/index.js')).renderRemoval(record);

export const drawHealing = async (record: HealRecord): Promise<string> =>
  (await import('../report/index.js')).renderHealing(record);

export const drawExperts = async (record: ExpertsRecord): Promise<string> =>
  (await import('../report/index.js')).renderExperts(record);

export const drawActivations = async (record: ActivationsRecord): Promise<string> =>
  (await import('../report/index.js')).renderActivations(record);

export const drawCut = async (record: CutRecord): Promise<string> =>
  (await import('../report/index.js')).renderCut(record);

export const drawUnlearning = async (record: UnlearnRecord): Promise<string> =>
  (await import('../report/index.js')).renderUnlearning(record);

/** The page of a frontier, and its picture as an SVG file of its own. */
export async function drawFrontier(frontier: Frontier): Promise<{ readonly page: string; readonly picture: string }> {
  const { frontierPicture, renderFrontier } = await import('../report/index.js');
  return { page: renderFrontier(frontier), picture: frontierPicture(frontier) };
}
