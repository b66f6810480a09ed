import { type EvaluateResult, evaluate } from '../../api/index.js';
import { describeStart, formatPerplexity } from '../../words/index.js';
import { accuracyJson, accuracyTable } from '../accuracy.js';
import { answersJson, answerTable } from '../answers.js';
import { defineCommand, RUNNABLE } from '../command.js';
import { fidelityJson, fidelityTable } from '../fidelity.js';
import { formatSeconds } from '../format.js';
import { parseTasks } from '../option-values.js';
import { TASK_OPTIONS } from '../options.js';
import { recallJson, recallTable } from '../recall.js';
import { describeCuts, taskTable } from '../tasks.js';

export const evaluateCommand = defineCommand({
  name: 'evaluate',
  summary: 'Perplexity of a model on a text, its accuracy on tasks or on images',
  argument: { ...RUNNABLE, name: 'checkpoint' },
  options: [
    'text',
    'images',
    'labels',
    'classes',
    'templates',
    'captions',
    'qa',
    'answerTokens',
    'orientation',
    'dense',
    ...TASK_OPTIONS,
    'sequenceLength',
    'windowStart',
    'greedyTokens',
    'seed',
    'device',
    'threads',
    'out',
  ],
  details:
    'With --text: perplexity by the pruning papers’ protocol. The whole text is tokenised once and cut into non-overlapping windows without the tail; the first token of a window is not predicted; windows begin with BOS where the tokenizer adds it, and --window-start none cuts them as the papers do (docs/guide/texts.md); the result is exp of the mean of the windows’ means. It is not the word perplexity that lm-evaluation-harness prints for WikiText. With --tasks or --suite: zero-shot tasks by lm-evaluation-harness’s protocol (docs/reference/tasks.md); --out then holds results and samples files that its tools can read. With --dense the predictions on the text are compared with those of the original: the mean KL divergence of the next token’s distribution and its 99.9th percentile over tokens, the share of tokens for which both find the same one likeliest, and how many tokens of a greedy text come before the first difference (docs/guide/fidelity.md). With --captions: recall at 1, 5 and 10 both ways, the share of images one of whose captions is among the k nearest, and of captions whose image is. With --qa: nats per token of the answers to questions about images, and exp of them; the share of the answers’ tokens that are the likeliest after those before them, and of whole answers, which is what exact match of greedy texts comes to; where questions have choices, how often the right one is the likeliest. --answer-tokens 16 also writes the answers, up to 16 tokens each, and compares them as VQA’s script compares: exact match, and VQA accuracy over the questions with several people’s answers. A .lw file is scored by our own decoder, on the cpu or the GPU, on the same windows and requests.',
  examples: [
    {
      what: 'Accuracy of an image classifier, in one folder per class',
      command: 'layerwise evaluate ./vit --images val/ --labels folder',
    },
    {
      what: 'Zero-shot accuracy of a CLIP, its classes by name',
      command: 'layerwise evaluate ./clip --images val/ --classes names.txt --templates templates.txt',
    },
    {
      what: 'Answers of a LLaVA, pruned and dense, to questions about images',
      command: 'layerwise evaluate ./llava-50 --qa items.jsonl --dense ./llava',
    },
    {
      what: 'Recall of a CLIP both ways, pruned and dense',
      command: 'layerwise evaluate ./clip-50 --captions pairs.jsonl --dense ./clip',
    },
    {
      what: 'VQA accuracy of answers that it writes',
      command: 'layerwise evaluate ./llava --qa vqa.json --answer-tokens 16',
    },
    { what: 'Perplexity on a text', command: 'layerwise evaluate ./my-model-70 --text test.txt' },
    {
      what: 'As the papers do for LLaMA-2: perplexity and the average of seven tasks',
      command:
        'layerwise evaluate ./llama-2-7b --text wikitext2-test.txt --sequence-length 2048 --window-start none --suite atp --data tasks --json',
    },
    {
      what: 'Two tasks with five examples each, results and samples for lm-evaluation-harness’s tools',
      command:
        'layerwise evaluate ./my-model --tasks hellaswag,arc_challenge --data tasks --fewshot 5 --out evaluations/my-model',
    },
    {
      what: 'How far a packed model is from the original',
      command: 'layerwise evaluate ./my-model-70.lw --dense ./my-model --text test.txt',
    },
    {
      what: 'What packing cost: the same for a packed model',
      command: 'layerwise evaluate ./my-model-70.lw --text test.txt --tasks hellaswag,arc_challenge --data tasks',
    },
  ],
  run: async (checkpoint, { tasks, ...options }, onProgress) => {
    const result = await evaluate({ checkpoint, ...options, ...parseTasks(tasks), onProgress });
    return { json: toJson(result, options.out), text: toText(result, options.out) };
  },
});

function toJson(
  { text, images, questions, captions, source, fidelity, calibration, tasks, seconds }: EvaluateResult,
  out: string | undefined,
): unknown {
  return {
    ...(images ? { ...accuracyJson(images.evaluation), source } : {}),
    ...(images?.dense ? { dense: accuracyJson(images.dense) } : {}),
    ...(questions ? { ...answersJson(questions.model), source } : {}),
    ...(questions?.dense ? { dense: answersJson(questions.dense) } : {}),
    ...(captions ? { ...recallJson(captions.model), source } : {}),
    ...(captions?.dense ? { dense: recallJson(captions.dense) } : {}),
    ...(text ? { perplexity: text.perplexity, windows: text.windows, tokens: text.tokens, text: source } : {}),
    ...fidelityJson(fidelity),
    ...(calibration ? { calibration } : {}),
    ...(tasks ? { tasks: { ...tasks.setup, ...tasks.scores, setup: tasks.setup.tasks } } : {}),
    seconds,
    ...(out === undefined ? {} : { out }),
  };
}

function toText(
  { text, images, questions, captions, source, fidelity, tasks, seconds }: EvaluateResult,
  out: string | undefined,
): string {
  const lines: string[] = [];
  if (images) {
    const rows = [['dense', images.dense] as const, ['model', images.evaluation] as const];
    lines.push(...accuracyTable(`${source!.windows} images`, rows), ...fidelityTable([['model', fidelity]]));
  }
  if (captions) {
    lines.push(
      ...recallTable([
        ['dense', captions.dense],
        ['model', captions.model],
      ]),
    );
  }
  if (questions) {
    const models = [['dense', questions.dense] as const, ['model', questions.model] as const];
    lines.push(...answerTable(source!, models), ...fidelityTable([['model', fidelity]]));
  }
  if (text) {
    const { perplexity, windows, tokens } = text;
    const start = describeStart(source!.bos);
    lines.push(
      `perplexity ${formatPerplexity(perplexity)} over ${windows} windows${start}, ${tokens} tokens predicted`,
    );
    if (fidelity) lines.push('', ...fidelityTable([['model', fidelity]]).slice(0, 1));
  }
  if (tasks) lines.push(...(text ? [''] : []), taskTable(tasks.setup, tasks.scores), ...describeCuts(tasks.setup));
  if (tasks) lines.push('');
  lines.push(`${formatSeconds(seconds)}`);
  if (out !== undefined) lines.push(`results  ${out}`);
  return lines.join('\n');
}
