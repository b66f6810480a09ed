// POST /v1/completions: several prompts and several texts for each; text i of prompt p is choice p·n + i. With `echo` the
// prompt comes before the text. With `logprobs` as well, its tokens are scored too, except the first one, which has nothing
// before it. With `max_tokens` 0 or 1 this is how harnesses score a text.

import { randomUUID } from 'node:crypto';
import { countCharacters } from '../base/index.js';
import { type Completion, type CompletionPiece, createDetokeniser } from '../generation/index.js';
import { answerStream, answerWhole } from './answer.js';
import { type Answers, ask, countUsage, type Prompt, readText, readTokens, requireModel } from './ask.js';
import { type CompletionBody, listPrompts, parseCompletionBody } from './bodies.js';
import type { ServerContext } from './context.js';
import { type CompletionLogprobs, joinLogprobs, listLogprobs, listPromptLogprobs } from './logprobs.js';
import { createEventStream } from './sse.js';

const DEFAULT_TOKENS = 16;

type Job = { readonly body: CompletionBody; readonly prompts: readonly Prompt[]; readonly n: number };

/** Answers a body. @throws RefusedError and what `ask` throws */
export async function answerCompletion(context: ServerContext, text: string, client: AbortSignal): Promise<Response> {
  const body = parseCompletionBody(text);
  requireModel(context, body.model);
  const prompts: Prompt[] = [];
  for (const prompt of listPrompts(body.prompt)) {
    const isText = typeof prompt === 'string';
    prompts.push(
      isText
        ? readText(context, prompt, { specialTokens: true, param: 'prompt' })
        : readTokens(context, prompt, body.echo === true),
    );
    await new Promise((resolve) => setImmediate(resolve)); // let other work run between two prompts
  }
  const job: Job = { body, prompts, n: body.n ?? 1 };
  const frame = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: context.settings.name,
  };
  if (body.stream === true) return stream(context, job, frame, client);
  return answerWhole(submit(context, job, client), (done) => {
    const choices = done.map((completion, index) => ({
      index,
      text: `${echoOf(job, index)}${completion.text}`,
      logprobs: scoresOf(context, job, index, completion),
      finish_reason: completion.finish,
    }));
    return { ...frame, choices, usage: countUsage(prompts, done) };
  });
}

const promptOf = ({ prompts, n }: Job, index: number): Prompt => prompts[Math.floor(index / n)]!;
const echoOf = (job: Job, index: number): string => (job.body.echo === true ? promptOf(job, index).text : '');

function submit(
  context: ServerContext,
  job: Job,
  client: AbortSignal,
  onPiece?: (index: number, piece: CompletionPiece) => void,
): Answers {
  const { body, prompts, n } = job;
  const scores = body.logprobs ?? undefined;
  const asked = prompts.flatMap(({ tokens }) =>
    Array.from({ length: n }, () => ({
      prompt: tokens,
      maxTokens: body.max_tokens ?? DEFAULT_TOKENS,
      scores,
      promptScores: body.echo === true ? scores : undefined,
    })),
  );
  return ask(
    context,
    client,
    body,
    asked.map((one, index) => ({ ...one, onPiece: onPiece && ((piece) => onPiece(index, piece)) })),
  );
}

function promptScoresOf(
  { model }: ServerContext,
  job: Job,
  index: number,
  { prompt: scores }: Completion,
): CompletionLogprobs {
  const { tokens, text } = promptOf(job, index);
  const detokeniser = createDetokeniser(model.tokenizer);
  const end = countCharacters(text);
  let length = 0;
  const offsets = tokens.map((token) => {
    const offset = Math.min(length, end);
    length += countCharacters(detokeniser.push(token));
    return offset;
  });
  return listPromptLogprobs(model.tokenizer, tokens, scores, offsets);
}

/** Scores of all tokens that a choice shows. */
function scoresOf(context: ServerContext, job: Job, index: number, completion: Completion): CompletionLogprobs | null {
  const { echo, logprobs } = job.body;
  if (logprobs === null || logprobs === undefined) return null;
  const written = listLogprobs(context.model.tokenizer, completion.tokens, countCharacters(echoOf(job, index)));
  return echo === true ? joinLogprobs(promptScoresOf(context, job, index, completion), written) : written;
}

function stream(context: ServerContext, job: Job, frame: object, client: AbortSignal): Response {
  const { body, prompts } = job;
  const asksScores = body.logprobs !== null && body.logprobs !== undefined;
  const echoesScores = body.echo === true && asksScores;
  const base = (index: number): number => countCharacters(echoOf(job, index));
  const choice = (index: number, text: string, logprobs: CompletionLogprobs | null, finish: string | null) => ({
    ...frame,
    choices: [{ index, text, logprobs, finish_reason: finish }],
    ...(body.stream_options?.include_usage === true ? { usage: null } : {}),
  });
  // The prompt’s scores are complete only with the text, so an echo with scores comes at the end.
  const answers = submit(context, job, client, (index, { text, tokens }) => {
    if (echoesScores) return;
    const logprobs = asksScores ? listLogprobs(context.model.tokenizer, tokens, base(index)) : null;
    events.send(choice(index, text, logprobs, null));
  });
  const events = createEventStream(answers.call.leave);
  if (body.echo === true && !echoesScores) {
    for (let i = 0; i < prompts.length * job.n; i++) events.send(choice(i, echoOf(job, i), null, null));
  }
  return answerStream(answers, events, (done) => {
    for (const [i, completion] of done.entries()) {
      const text = echoesScores ? `${echoOf(job, i)}${completion.text}` : '';
      const logprobs = echoesScores ? scoresOf(context, job, i, completion) : null;
      events.send(choice(i, text, logprobs, completion.finish));
    }
    if (body.stream_options?.include_usage !== true) return;
    events.send({ ...frame, choices: [], usage: countUsage(prompts, done) });
  });
}
