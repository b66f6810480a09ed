// Chat templates against Jinja2 in transformers' environment (scripts/golden/chat.py), to the byte.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ChatOptions, createChatTemplate, readChatJson } from '../../src/generation/index.js';

const golden = new URL('../golden/chat/', import.meta.url);
const textOf = (name: string): string => readFileSync(new URL(name, golden), 'utf8');
const NOW = new Date(2026, 2, 4, 15, 6, 7);

/** As the server reads messages: whole numbers stay whole, keys in their order. */
// biome-ignore lint/suspicious/noExplicitAny: JSON
const read = (name: string): any => readChatJson(textOf(name));

type Prompt = {
  readonly template: string;
  readonly conversation: string;
  readonly tools: boolean;
  readonly variables: Record<string, unknown>;
  readonly text: string | null;
};

describe('templates that models have', () => {
  const { words, prompts } = JSON.parse(textOf('prompts.json')) as { words: Record<string, string>; prompts: Prompt[] };
  const document = read('prompts.json');

  test.each(prompts.map((one) => [`${one.template}, ${one.conversation}${one.tools ? ', tools' : ''}`, one] as const))(
    '%s',
    (_, { template, conversation, tools, variables, text }) => {
      const options: ChatOptions = { variables, now: NOW, ...(tools ? { tools: document.get('tools') } : {}) };
      const messages = document.get('conversations').get(conversation);
      const source = textOf(`templates/${template}.jinja`);
      for (const file of [source, source.replaceAll('\n', '\r\n'), source.replaceAll('\n', '\r')]) {
        const render = () => createChatTemplate({ file, config: undefined }, words, 'test')!.render(messages, options);
        if (text === null) expect(render).toThrowError(expect.objectContaining({ code: 'E_OPTION_MESSAGES' }));
        else expect(render()).toBe(text);
      }
    },
  );

  test('there are enough of them', () => {
    expect(new Set(prompts.map((one) => one.template)).size).toBeGreaterThanOrEqual(20);
    expect(prompts.filter((one) => one.text !== null).length).toBeGreaterThan(100);
  });
});

const messages = [{ role: 'user', content: 'hi' }];

describe('constructs', () => {
  const { constructs } = JSON.parse(textOf('constructs.json')) as {
    constructs: { template: string; text: string | null }[];
  };
  const document = read('constructs.json');
  const variables = document.get('variables') as ReadonlyMap<string, unknown>;
  const words = Object.fromEntries(document.get('words')) as Record<string, string>;

  test.each(constructs.map(({ template, text }) => [template, text] as const))('%s', (template, text) => {
    const render = (): string =>
      createChatTemplate({ file: template, config: undefined }, words, 'test')!.render(messages, {
        variables,
        now: NOW,
      });
    if (text === null) expect(render).toThrow();
    else expect(render()).toBe(text);
  });
});

describe('what Jinja2 has and we have not', () => {
  test.each([
    ['a recursive loop', '{% for m in messages recursive %}{{ m }}{% endfor %}'],
    ['the tag include', "{% include 'a' %}"],
    ['the tag block', '{% block a %}{% endblock %}'],
    ['the attribute __class__', "{{ ''.__class__ }}"],
    ['the filter urlize', "{{ 'a' | urlize }}"],
    ['the filter safe', "{{ ('a' | safe) + '<' }}"],
    ['the function cycler', "{{ cycler('a') }}"],
    ['arguments from a list (*)', '{{ range(*[1]) }}'],
    ['several subscripts', '{{ messages[1, 2] }}'],
    ['str.zfill', "{{ '1'.zfill(2) }}"],
    ['the format %.', "{{ '%.2f' % 1.5 }}"],
    ['the time format %Z', "{{ strftime_now('%Z') }}"],
    ['(\\N{…})', "{{ '\\N{BULLET}' }}"],
    ['a dict', '{{ {(1, 2): 3} }}'],
    ['5000000 steps', '{% for i in range(99999) %}{% for j in range(999) %}{% endfor %}{% endfor %}'],
    ['break', '{% for i in [1] %}{% set x %}{% break %}{% endset %}{% endfor %}'],
  ])('%s is refused by name', (name, file) => {
    const template = createChatTemplate({ file, config: undefined }, {}, 'test')!;
    expect(() => template.render(messages)).toThrowError(
      expect.objectContaining({ code: 'E_UNSUPPORTED_CHAT_TEMPLATE', message: expect.stringContaining(name) }),
    );
  });

  test('a text that never ends is refused, as is one that is nested without end', () => {
    const deep = (file: string) => createChatTemplate({ file, config: undefined }, {}, 'test')!.render(messages);
    expect(() => deep('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}')).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_MESSAGES' }),
    );
    expect(() => deep(`{{ ${'('.repeat(50_000)} }}`)).toThrowError(
      expect.objectContaining({ code: 'E_TEXT_CHAT_TEMPLATE' }),
    );
  });
});

describe('messages', () => {
  const template = (file: string) => createChatTemplate({ file, config: undefined }, {}, 'test')!;
  const plain = template('{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.name }}/{% endfor %}');
  const call = (given: unknown) => ({
    ...{ role: 'assistant', content: null },
    tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: given } }],
  });
  const withCalls = template(
    '{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}',
  );

  test('all keys reach the template; null is as if it were not there', () => {
    expect(plain.render([{ role: 'user', content: 'a', name: 'Ann', refusal: null, tool_calls: null }])).toBe(
      'user:aAnn/',
    );
    expect(withCalls.render([call('{"b": 1.0, "1": 2}')])).toBe('{"b": 1.0, "1": 2}');
    expect(withCalls.render([call('')])).toBe('{}');
    expect(withCalls.render([call({ a: 1 })])).toBe('{"a": 1}');
  });

  test('parts become one text, but for a template that goes through them', () => {
    const content = ['a', ' b'].map((text) => ({ type: 'text', text }));
    expect(plain.render([{ role: 'user', content }])).toBe('user:a b/');
    const loops = template("{% for p in messages[0]['content'] %}[{{ p.text }}]{% endfor %}");
    expect(loops.render([{ role: 'user', content }])).toBe('[a][ b]');
  });

  test('arguments stay the text they are where a template only writes them', () => {
    const writes = template("{{ '<' + messages[0].tool_calls[0]['function']['arguments'] + '>' }}");
    expect(writes.render([call('{"b":1}')])).toBe('<{"b":1}>');
  });

  test.each([
    ['messages.0.tool_calls', /does not write it/, call('{}'), plain],
    ['messages.0.reasoning', /does not write it/, { role: 'assistant', content: 'a', reasoning: 'b' }, plain],
    ['messages.0.refusal', /does not write it/, { role: 'assistant', content: 'a', refusal: 'no' }, plain],
    ['messages.0.content', /expected text/, { role: 'user', content: null }, plain],
    ['messages.0.content', /got a int/, { role: 'user', content: 3 as unknown as string }, plain],
    ['messages.0.content.0.type', /"text".*"image_url"/, { role: 'user', content: [{ type: 'image_url' }] }, plain],
    ['messages.0.content.0.text', /got nothing/, { role: 'user', content: [{ type: 'text' }] }, plain],
    ['messages.0.role', /expected text/, { content: 'a' } as never, plain],
    ['messages.0.tool_calls', /expected a list/, { ...call('{}'), tool_calls: { a: 1 } }, withCalls],
    ['messages.0.tool_calls.0', /with a function/, { ...call('{}'), tool_calls: [{}] }, withCalls],
    ['messages.0.tool_calls.0.function.arguments', /as JSON.*"\{"/, call('{'), withCalls],
    ['messages.0.tool_calls.0.function.arguments', /an object/, call('[1]'), withCalls],
  ])('%s is refused with its place: %s', (where, message, one, refusing) => {
    const render = (): string => refusing.render([one]);
    expect(render).toThrowError(expect.objectContaining({ code: 'E_OPTION_MESSAGES' }));
    expect(render).toThrowError(message);
    expect(render).toThrowError(where);
  });

  test('variables are given to the template, but none of ours', () => {
    expect(template('{{ a }}{{ tools }}').render(messages, { variables: { a: true } })).toBe('TrueNone');
    expect(() => plain.render(messages, { variables: { messages: [] } })).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_TEMPLATE' }),
    );
  });
});
