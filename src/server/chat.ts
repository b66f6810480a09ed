// POST /v1/chat/completions: the model’s chat template turns messages into a prompt, which is completed like any other. The
// template writes the special tokens.

import { randomUUID } from 'node:crypto';
import { type Completion, requireChatTemplate } from '../generation/index.js';
import { answerStream, answerWhole } from './answer.js';
import { ask, countUsage, type PromptRequest, readText, requireModel } from './ask.js';
import { type ChatBody, parseChatBody, readConversation } from './bodies.js';
import type { ServerContext } from './context.js';
import { listChatLogprobs } from './logprobs.js';
import { RefusedError } from './problems.js';
import { createEventStream } from './sse.js';

/** Answers a body. @throws RefusedError, CheckpointError E_TEXT_CHAT_TEMPLATE, and what `ask` throws */
export async function answerChat(context: ServerContext, text: string, client: AbortSignal): Promise<Response> {
  const body = parseChatBody(text);
  requireModel(context, body.model);
  const template = requireChatTemplate(context.model.chatTemplate);
  const { messages, variables } = readConversation(text);
  const prompt = readText(context, template.render(messages, { variables }), {
    specialTokens: false,
    param: 'messages',
  });
  const one: PromptRequest = {
    prompt: prompt.tokens,
    maxTokens: maxTokensOf(context, body, prompt.tokens.length),
    scores: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
    promptScores: undefined,
  };
  const frame = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: context.settings.name,
  };
  const scoresOf = (tokens: Completion['tokens']) =>
    body.logprobs === true ? listChatLogprobs(context.model.tokenizer, tokens) : null;
  const n = body.n ?? 1;

  if (body.stream === true) {
    const wantsUsage = body.stream_options?.include_usage === true;
    const chunk = (index: number, delta: object, logprobs: object | null, finish: string | null) => ({
      ...frame,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs, finish_reason: finish }],
      ...(wantsUsage ? { usage: null } : {}),
    });
    const asked = Array.from({ length: n }, (_, index) => ({
      ...one,
      onPiece: ({ text: content, tokens }: Pick<Completion, 'text' | 'tokens'>) =>
        events.send(chunk(index, { content }, scoresOf(tokens), null)),
    }));
    const answers = ask(context, client, body, asked);
    const events = createEventStream(answers.call.leave);
    for (let i = 0; i < n; i++) events.send(chunk(i, { role: 'assistant', content: '' }, null, null));
    return answerStream(answers, events, (done) => {
      for (const [i, { finish }] of done.entries()) events.send(chunk(i, {}, null, finish));
      if (!wantsUsage) return;
      events.send({ ...frame, object: 'chat.completion.chunk', choices: [], usage: countUsage([prompt], done) });
    });
  }

  return answerWhole(ask(context, client, body, new Array<PromptRequest>(n).fill(one)), (done) => {
    const choices = done.map((completion, index) => ({
      index,
      message: { role: 'assistant', content: completion.text, refusal: null },
      logprobs: scoresOf(completion.tokens),
      finish_reason: completion.finish,
    }));
    return { ...frame, object: 'chat.completion', choices, usage: countUsage([prompt], done) };
  });
}

/** The requested number of tokens, or as many as fit. @throws RefusedError */
function maxTokensOf({ model }: ServerContext, body: ChatBody, prompt: number): number {
  const asked = body.max_completion_tokens ?? body.max_tokens;
  if (asked !== null && asked !== undefined) return asked;
  const room = model.info.maxPositions - prompt;
  if (room >= 1) return room;
  throw new RefusedError(
    `This model's maximum context length is ${model.info.maxPositions} tokens, and the messages have ${prompt}. Shorten them.`,
    { param: 'messages', word: 'context_length_exceeded' },
  );
}
