import { OptionError } from '../../base/index.js';
import { autoRound } from './auto-round.js';
import { llamaCpp } from './llama-cpp.js';
import { llmCompressor } from './llm-compressor.js';
import type { Exporter } from './target.js';

/** The tools that plans can be written for, by name. */
export const EXPORTERS: ReadonlyMap<string, Exporter> = new Map(
  [llamaCpp, llmCompressor, autoRound].map((exporter) => [exporter.name, exporter]),
);

/** @throws OptionError E_OPTION_EXPORT, with the known names. */
export function findExporter(name: string): Exporter {
  const exporter = EXPORTERS.get(name);
  if (exporter) return exporter;
  const known = [...EXPORTERS.keys()];
  throw new OptionError(
    'E_OPTION_EXPORT',
    `--export: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}.`,
    { option: 'export', expected: known, got: name },
  );
}
