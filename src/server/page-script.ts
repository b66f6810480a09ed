// The script of the page at `/`, sent as it is: plain JavaScript for the browser. It parses server-sent events itself,
// because EventSource cannot send a body.

export const PAGE_SCRIPT = `
'use strict';
const $ = (id) => document.getElementById(id);
const { model, chat } = document.body.dataset;
const isChat = chat === 'true';
let messages = [];
let controller;

const say = (text, bad = false) => {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
};
const show = (text, isPrompt = false) => {
  const span = document.createElement('span');
  if (isPrompt) span.className = 'prompt';
  span.append(text);
  $('output').append(span);
  return span;
};

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split('\\n\\n');
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, '');
      if (data === '[DONE]') return;
      yield JSON.parse(data);
    }
  }
}

async function send(path, body) {
  const headers = { 'content-type': 'application/json' };
  if ($('key').value !== '') headers.authorization = 'Bearer ' + $('key').value;
  const response = await fetch(path, {
    method: 'POST', headers, body: JSON.stringify(body), signal: controller.signal,
  });
  if (response.ok) return response;
  if (response.status === 401) $('key-label').hidden = false;
  const told = await response.json().catch(() => undefined);
  throw new Error(told?.error?.message ?? 'The server answered ' + response.status + '.');
}

function bodyOf(prompt) {
  const body = {
    model, stream: true, stream_options: { include_usage: true },
    max_tokens: Number($('tokens').value),
    temperature: Number($('temperature').value),
    top_p: Number($('top-p').value),
  };
  if ($('seed').value !== '') body.seed = Number($('seed').value);
  return isChat ? { ...body, messages } : { ...body, prompt };
}

async function run() {
  const prompt = $('prompt').value;
  controller = new AbortController();
  $('go').disabled = true;
  $('stop').hidden = false;
  say('…');
  if (isChat) {
    messages.push({ role: 'user', content: prompt });
    show(prompt + '\\n', true);
  } else {
    $('output').replaceChildren();
    show(prompt, true);
  }
  const out = show('');
  let began, usage, reason;
  try {
    const response = await send(isChat ? '/v1/chat/completions' : '/v1/completions', bodyOf(prompt));
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const [choice] = event.choices;
      if (!choice) continue;
      reason = choice.finish_reason ?? reason;
      const text = isChat ? choice.delta.content : choice.text;
      if (!text) continue;
      began ??= performance.now();
      out.append(text);
    }
    const seconds = (performance.now() - began) / 1000;
    const rate = usage && usage.completion_tokens > 1 && seconds > 0
      ? ', ' + ((usage.completion_tokens - 1) / seconds).toFixed(1) + ' tokens/s' : '';
    say((usage ? usage.completion_tokens + ' tokens' : 'Done') + rate + (reason === 'length' ? '; there may be more to say' : ''));
    if (isChat) $('prompt').value = '';
  } catch (error) {
    if (error.name === 'AbortError') say('Stopped.');
    else say(error.message, true);
  } finally {
    if (isChat) {
      if (out.textContent === '') {
        messages.pop();
        out.previousSibling?.remove();
        out.remove();
      } else {
        messages.push({ role: 'assistant', content: out.textContent });
        show('\\n');
      }
    }
    $('go').disabled = false;
    $('stop').hidden = true;
  }
}

$('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!$('go').disabled) run();
});
$('prompt').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('form').requestSubmit();
});
$('stop').addEventListener('click', () => controller.abort());
$('clear')?.addEventListener('click', () => {
  messages = [];
  $('output').replaceChildren();
  say('');
});
`;
