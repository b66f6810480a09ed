// One line of a table of results:stream or results:hessian: a run of the block-by-block loop under a uniform plan, scored on
// validation text. What was measured is kept as JSON, a file per line, and is not measured again.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Own } from '#src/base';
import { summarise } from '#src/evaluate';
import { linearUnits, openModel } from '#src/model';
import { findOperator, formatPattern, parsePattern } from '#src/operators';
import { pruneSequentially, runDense, type StreamTarget } from '#src/pipeline';
import { realisePlan } from '#src/plan';
import type { Treatment } from '#src/records';
import { openEngine, prepareTexts } from '#src/runs';
import { embedSamples, scoringOf, type Text } from '#src/stream';

export type Line = { readonly nll: readonly number[]; readonly errors: readonly number[]; readonly seconds: number };

export type LineRequest = {
  /** The name of its file. */
  readonly key: string;
  readonly operator: string;
  readonly treatment: Treatment;
  /** Defaults to the operator's first. */
  readonly pattern?: string | undefined;
  readonly target?: StreamTarget | undefined;
  /** Defaults to the calibration text as it is. */
  readonly calibration?: Text;
};

export type LineOptions = {
  readonly checkpoint: string;
  readonly calibration: string;
  readonly validation: string;
  readonly out: string;
  readonly samples: string;
  readonly length: string | undefined;
  /** Of validation text. */
  readonly windows: string;
};

/** The options of a table that both commands have. */
export const LINE_OPTIONS = {
  calibration: { type: 'string' },
  validation: { type: 'string' },
  out: { type: 'string' },
  samples: { type: 'string', default: '128' },
  length: { type: 'string' },
  windows: { type: 'string', default: '64' },
} as const;

/** Opens the model, the texts and the dense pass; `own` closes them. */
export async function openLines(own: Own, options: LineOptions) {
  const { out, windows } = options;
  const model = await openModel(options.checkpoint);
  const texts = await prepareTexts(
    {
      ...{ calibration: options.calibration, validation: options.validation, test: undefined },
      ...{ calibrationSamples: Number(options.samples), calibrationOrder: 'sequential', windowStart: undefined },
      sequenceLength: options.length === undefined ? undefined : Number(options.length),
      ...{ seed: 0, onProgress: () => {} },
    },
    model,
  );
  const engine = await own(openEngine(model, { device: 'cpu', threads: 2, onProgress: () => {} }));
  const held = texts.validation!.content;
  const first = { ...held, windows: held.windows.slice(0, Number(windows)) };
  const validation = await embedSamples(own, engine, model, first);
  const calibration = await embedSamples(own, engine, model, texts.calibration!.content);
  const dense = await runDense(engine, model, validation, undefined, () => {});
  if (dense.trace) await own(dense.trace.store);
  mkdirSync(out, { recursive: true });
  const perplexityOf = ({ nll }: Pick<Line, 'nll'>): number => summarise(nll, scoringOf(first)).perplexity;
  const lineOf = async (request: LineRequest): Promise<Line> => {
    const path = join(out, `${request.key}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Line;
    const operator = findOperator(request.operator);
    const pattern = parsePattern(request.pattern ?? operator.patterns[0]!);
    const units = Object.fromEntries(linearUnits(model).map(({ id }) => [id, request.treatment]));
    const plan = realisePlan({ format: 'layerwise-plan', version: 2, units }, linearUnits(model), {
      counting: 'exact',
      pattern: formatPattern(pattern),
      of: pattern.kind === 'n:m' ? pattern.of : undefined,
    });
    const dir = join(out, 'blocks');
    rmSync(dir, { recursive: true, force: true });
    const began = performance.now();
    const { nll, errors } = await pruneSequentially({
      ...{ engine, model, operator, plan, validation, trace: dense.trace, target: request.target, dir },
      ...{ calibration: request.calibration ?? calibration, onProgress: () => {} },
    });
    rmSync(dir, { recursive: true, force: true });
    const line = { nll, errors, seconds: (performance.now() - began) / 1000 };
    writeFileSync(path, JSON.stringify(line));
    console.error(`${request.key}: ${perplexityOf(line).toFixed(2)}, ${line.seconds.toFixed(0)} s`);
    return line;
  };
  const title = `Dense ${perplexityOf(dense).toFixed(2)}; ${calibration.content.windows.length} calibration windows of ${first.length}, ${first.windows.length} validation windows.`;
  return { engine, model, calibration, title, lineOf, perplexityOf };
}

/** Rows as a Markdown table; the first is its head. */
export const markdown = ([head, ...rows]: readonly (readonly string[])[]): string =>
  [head!, head!.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
