// FEATURES.md, from the table that the tests walk over.

import { GGUF_FAMILIES } from '#src/formats';
import { coverPairs } from './cover.js';
import { type Cell, valuesOf } from './matrix.js';

const formatList = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');

/** Each paper's system, and where its method is. */
const PAPERS = [
  ['system', 'where its method is'],
  ['ATP ([2502.14770](https://arxiv.org/abs/2502.14770))', '`prune --allocation atp`'],
  ['OWL ([2310.05175](https://arxiv.org/abs/2310.05175))', '`--allocation owl`'],
  ['ECoFLaP ([2310.02998](https://arxiv.org/abs/2310.02998))', '`--allocation ecoflap`'],
  ['FLAP ([2312.11983](https://arxiv.org/abs/2312.11983))', '`cut --importance flap --allocation flap`'],
  ['LLM-Pruner ([2305.11627](https://arxiv.org/abs/2305.11627))', '`cut --importance taylor`, then `heal`'],
  ['SlimGPT ([2412.18110](https://arxiv.org/abs/2412.18110))', '`cut --importance obs --allocation log`'],
  ['ShortGPT ([2403.03853](https://arxiv.org/abs/2403.03853))', '`drop --method shortgpt`'],
  ['The Deeper Layers ([2403.17887](https://arxiv.org/abs/2403.17887))', '`drop --method angular`, then `heal`'],
  ['ReplaceMe ([2505.02819](https://arxiv.org/abs/2505.02819))', '`drop --repair linear`'],
  [
    'FlattenGPT ([2602.08858](https://arxiv.org/abs/2602.08858))',
    '`drop --merge`, cut by greedy OBS in place of its importances',
  ],
  [
    'LESA ([2502.13794](https://arxiv.org/abs/2502.13794))',
    '`grow --method lesa`, with a ridge in place of its network; then `heal --train new`',
  ],
  ['REAP ([2510.13999](https://arxiv.org/abs/2510.13999))', '`experts --method reap`'],
  [
    'M-SMoE ([2310.01334](https://arxiv.org/abs/2310.01334))',
    '`experts --method merge`; the router’s rows go ([what differs](docs/guide/experts.md))',
  ],
  ['Adaptive RMU ([2408.06223](https://arxiv.org/abs/2408.06223))', '`unlearn --method adaptive-rmu`'],
  [
    'ILO ([2102.07364](https://arxiv.org/abs/2102.07364))',
    '`examples/invert.ts`, no command ([what came out](docs/lab/invert.md))',
  ],
  [
    'Q-VLM ([2410.08119](https://arxiv.org/abs/2410.08119))',
    '`quantise --method qvlm`, of language models, without its training ([what came out](docs/lab/qvlm.md))',
  ],
];

/** As the formatter has tables. */
function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head!), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The Markdown of FEATURES.md. */
export function renderFeatures(cells: readonly Cell[]): string {
  const families = [...new Set(cells.map(({ family }) => family))];
  const criteria = [...new Set(cells.map(({ criterion }) => criterion.name))];
  const patternsOf = (family: string, criterion: string): string =>
    cells
      .filter((cell) => cell.family === family && cell.criterion.name === criterion)
      .map(({ pattern }) => (pattern.kind === 'n:m' ? 'N:M' : pattern.kind))
      .join(', ');
  const rows = [
    ['family', ...criteria.map((name) => `\`${name}\``)],
    ...families.map((family) => [
      `\`${family}\``,
      ...criteria.map((criterion) => patternsOf(family, criterion) || '–'),
    ]),
  ];
  const table = tableOf(rows);
  return `<!-- Made from scripts/docs/matrix.ts by npm run docs; change it there. -->

# What goes with what

Every family can be pruned by every criterion in the patterns named here. \`test/pipeline/matrix.test.ts\` prunes a model and
checks the number and the places of its zeros for ${coverPairs(cells, valuesOf).length} of the ${cells.length} cells. In those, every family meets every criterion and
every pattern, and every criterion each of its patterns. \`LAYERWISE_TEST_MATRIX=full\` tests all cells. The logits of each family
equal those of transformers, before and after Wanda (\`test/model/families.test.ts\`, \`test/pipeline/families.test.ts\`). Each
family also runs through all of \`prune\`, \`evaluate\`, \`inspect\`, \`drop\` with and without repair (\`test/api/families.test.ts\`),
\`cut\` to equal and free widths (\`test/api/cut.test.ts\`; [what is refused](docs/guide/cut.md)), \`grow\` by every method (\`test/api/grow.test.ts\`; [what is refused](docs/guide/depth.md)) and \`unlearn\` (\`test/api/unlearn.test.ts\`), and the mixtures through \`experts\` (\`test/api/experts.test.ts\`). Every [allocation policy](docs/reference/policies.md) goes
with every criterion and with every pattern (\`test/api/matrix.test.ts\`, over its own table in the same way).

${table}

Every family is healed after pruning by \`heal\`, half block by half block and as a whole, and its zeros keep their bits
(\`test/api/heal.test.ts\`, with quantised checkpoints of 2, 3, 4 and 8 bits, dropped blocks, norms alone, LoRA). Where attention
and MLP run side by side (\`gpt_neox\`), a block is one piece. Adapters in PEFT's form are written for every family but the mixtures.

Every family can be packed and run, mixtures of experts too: \`pack\`, \`generate\`, \`serve\`, \`bench\` and \`evaluate\` take its
models, and the runtime's logits equal those of transformers (\`test/decoder/decoder.test.ts\`).

Models that read images: \`vit\`, \`deit\`, \`dinov2\`, \`convnext\`, \`convnextv2\` run through \`prune\`, \`quantise\`, \`compare\`, \`evaluate\`
and \`inspect\` with every criterion and policy (\`test/api/images.test.ts\`); \`clip\`, \`siglip\`, \`llava\` (over llama, mistral, qwen2),
\`idefics3\` and \`smolvlm\`, with their images as tiles, are pruned trunk by trunk (\`test/api/multimodal.test.ts\`, \`test/api/tiles.test.ts\`, \`test/api/text-trunk.test.ts\`, [how](docs/guide/images.md)). Their logits equal those
of transformers. \`vit\`, \`deit\`, \`dinov2\`, the image towers of \`clip\` and \`siglip\` and LLaVA’s language half go through \`cut\` too
(\`test/api/cut-images.test.ts\`), and what is left equals transformers’ (\`test/model/narrow-vision.test.ts\`; \`test/model/vision.test.ts\`, \`test/model/towers.test.ts\`, \`test/pipeline/llava.test.ts\`).

\`export\` writes ${formatList(GGUF_FAMILIES)} as GGUF (\`test/formats/gguf.test.ts\`), and every family but gpt2 and the mixtures
as compressed-tensors (\`test/formats/compressed-tensors.test.ts\`).

In a mixture of experts, each expert is pruned by the tokens that reach it. The router is not pruned. For an expert that no
calibration token reached, all inputs count equally; \`prune\` warns of it, and \`layerwise.json\` lists it under \`unseenExperts\`.

## The papers

${tableOf(PAPERS)}
`;
}
