import { type CheckpointReport, inspect, inspectPacked, type PackedReport, type PartReport } from '../../api/index.js';
import { OptionError } from '../../base/index.js';
import { describeCounts } from '../../model/index.js';
import { isPackedPath } from '../../packed/index.js';
import { formatBytes, formatCount, formatPercent } from '../../words/index.js';
import { CHECKPOINT, defineCommand } from '../command.js';
import { describeLoads, formatBar, formatFacts, formatTable } from '../format.js';

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'What is in a checkpoint or a packed model: blocks, linears, bytes, zeros',
  argument: { ...CHECKPOINT, text: `${CHECKPOINT.text}, or a .lw file` },
  options: ['linears', 'verify'],
  details:
    'Zeros of a checkpoint are counted from the bytes on disk. Sparsity is over the prunable linears of the blocks; embeddings, norms and the LM head are never pruned. For a `.lw` file it prints bits per weight by part, and a floor: for a linear with b-bit integers min(b × weights, (b + 4) × nonzeros, weights + b × nonzeros) (four bits say in which of sixteen columns a nonzero is, or one bit for each column whether there is one), min(32 × weights, 48 × nonzeros) for f32; for everything else the bits of its values. Scales, padding and the order of tiles come on top.',
  examples: [
    { what: 'What is in a checkpoint', command: 'layerwise inspect ./my-model' },
    {
      what: 'The sparsity of every linear, for another program',
      command: "layerwise inspect ./my-model --json | jq '.linears[] | [.name, .sparsity]'",
    },
    {
      what: 'How each linear is packed and why, and whether the file is undamaged',
      command: 'layerwise inspect model.lw --linears --verify',
    },
  ],
  run: async (path, { linears = false, verify = false }, onProgress) => {
    if (await isPackedPath(path)) {
      const report = await inspectPacked(path, verify);
      return { json: report, text: describePacked(report, linears) };
    }
    if (verify) {
      const message = '--verify only applies to a .lw file: a checkpoint has no checksums. Leave it out.';
      throw new OptionError('E_OPTION_VERIFY', message, { option: 'verify', got: path });
    }
    const report = await inspect(path, { onProgress });
    return { json: report, text: describeCheckpoint(report, linears) };
  },
});

const MAX_BROKEN = 4;

function describeCheckpoint(report: CheckpointReport, linears: boolean): string {
  const facts = formatFacts([
    ['family', report.family],
    ['blocks', `${report.blocks}`],
    ['hidden, MLP', `${report.hidden}, ${spread(report, 'intermediate')}`],
    ...(report.experts ? [['experts', describeExperts(report.experts)] as const] : []),
    ['heads, key-value heads', `${spread(report, 'heads')}, ${spread(report, 'kvHeads')}`],
    ...(report.image
      ? [
          ['classes', `${report.vocabulary}`] as const,
          ['images', `${report.image.width}×${report.image.height} pixels`] as const,
        ]
      : [
          ['vocabulary', `${report.vocabulary}${report.tied ? ' (head tied to the embeddings)' : ''}`] as const,
          ['longest sequence', `${report.maxPositions} tokens`] as const,
        ]),
    ['parameters', formatCount(report.parameters)],
    ['prunable', `${formatCount(report.prunable)} (${formatPercent(report.prunable / report.parameters, 1)})`],
    ['bytes of weights', `${formatBytes(report.bytes)} in ${report.shards} ${report.shards === 1 ? 'file' : 'files'}`],
    ['zeros among prunable', `${formatCount(report.zeros)} (${formatPercent(report.sparsity)})`],
    ['NaN and infinities', describeBroken(report)],
  ]);
  const rows = linears
    ? report.linears.map((l) => [l.name, `${l.rows} × ${l.columns}`, l.dtype, formatPercent(l.sparsity)])
    : report.blockSparsity.map((share, i) => [
        `block ${i}`,
        ...(report.widths ? [describeWidths(report.widths[i]!)] : []),
        formatPercent(share),
        formatBar(share),
      ]);
  const loads = report.loads ? `\n\nLoads where:\n${describeLoads(report.loads)}` : '';
  return `${facts}\n\n${formatTable(rows)}${loads}`;
}

type Width = 'heads' | 'kvHeads' | 'intermediate';

/** A width of all blocks, or the least and the most. */
function spread(report: CheckpointReport, of: Width): string {
  const all = report.widths?.map((block) => block[of]) ?? [report[of]];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

const describeWidths = ({ heads, kvHeads, intermediate }: Readonly<Record<Width, number>>): string =>
  `${heads} heads, ${kvHeads} key-value, MLP ${intermediate}`;

/** The first such weight of each tensor; the JSON document has all of them. */
function describeBroken({ broken }: CheckpointReport): string {
  if (broken.length === 0) return 'none';
  const some = broken
    .slice(0, MAX_BROKEN)
    .map((one) => `${one.tensor}: ${describeCounts(one)}, first at [${one.position.join(', ')}]`);
  return [...some, ...(broken.length > MAX_BROKEN ? [`and ${broken.length - MAX_BROKEN} more tensors`] : [])].join(
    '; ',
  );
}

function describeExperts({ count, counts, perToken, width }: NonNullable<CheckpointReport['experts']>): string {
  const least = Math.min(...counts);
  const number = least === count ? count : `${least} to ${count}`;
  return `${number} of width ${width} in ${counts.length} blocks, ${perToken} for each token; the router is not pruned`;
}

/** The sizes of a packed model; `layerwise pack` prints the same for what it wrote. */
export function describePacked(report: PackedReport, linears: boolean): string {
  const facts = formatFacts([
    ['family', `${report.family}, ${report.blocks} blocks${report.tied ? ', head tied to the embeddings' : ''}`],
    ['values', `${report.values}; embeddings and head ${report.head}`],
    ['file', `${formatBytes(report.fileBytes)}, packed by Layerwise ${report.layerwise}`],
    ...(report.calibration
      ? [['calibration', `${report.calibration.name}, SHA-256 ${report.calibration.hash.slice(0, 12)}…`] as const]
      : []),
    ['texts', report.texts.map(({ name }) => name).join(', ')],
    ['zeros in the linears', formatPercent(report.sparsity)],
    ['checksums', report.verified ? 'all compared: undamaged' : 'of the directory and config.json compared'],
  ]);
  const row = ({ part, weights, bytes, bits, floor, above }: PartReport): string[] => [
    part,
    formatCount(weights),
    formatBytes(bytes),
    bits.toFixed(3),
    floor.toFixed(3),
    above === null ? '–' : `+${formatPercent(above, 1)}`,
  ];
  const head = ['', 'weights', 'bytes', 'bits/weight', 'floor', 'above it'];
  const parts = formatTable([head, ...report.parts.map(row), row(report.all)]);
  const weights = report.parts[0]!.weights;
  const purposes = Object.entries(report.linearBytes).map(
    ([purpose, bytes]) => `${purpose} ${((8 * bytes) / weights).toFixed(3)}`,
  );
  const each = linears ? listLinears(report) : listLayouts(report);
  return `${facts}\n\n${parts}\n\nBits per weight of the linears: ${purposes.join(', ')}.\n\n${each}`;
}

function listLinears({ linears }: PackedReport): string {
  return linears
    .map((l) => {
      const zeros = formatPercent(1 - l.nonzeros / (l.rows * l.columns), 1);
      const rounded = l.rounded > 0 ? `, ${formatCount(l.rounded)} of them too small for their scale` : '';
      return `${l.name}  ${l.rows} × ${l.columns}  ${l.layout} ${l.values}, ${zeros} zeros${rounded}\n  ${l.reason}`;
    })
    .join('\n');
}

function listLayouts({ linears }: PackedReport): string {
  const kinds = new Map<string, { count: number; bytes: number; weights: number }>();
  for (const { layout, rows, columns, bytes } of linears) {
    const kind = kinds.get(layout) ?? { count: 0, bytes: 0, weights: 0 };
    kinds.set(layout, {
      count: kind.count + 1,
      bytes: kind.bytes + bytes,
      weights: kind.weights + rows * columns,
    });
  }
  const rows = [...kinds].map(([layout, { count, bytes, weights }]) => [
    layout,
    `${count}`,
    formatBytes(bytes),
    ((8 * bytes) / weights).toFixed(3),
  ]);
  return formatTable([['layout', 'linears', 'bytes', 'bits/weight'], ...rows]);
}
