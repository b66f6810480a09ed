// Prepares a client’s conversation for a template as transformers’ apply_chat_template does: keys that are null are left
// out, and reasoning is present under both of its names. Two forms of OpenAI’s API become what templates are written for:
// call arguments, which arrive as JSON in a string, and text in parts, where a template needs one text.

import { OptionError } from '../base/portable.js';
import { readJson } from './jinja/json.js';
import type { JinjaTemplate } from './jinja/template.js';
import { type Dict, isDict, isList, isTrue, type Key, typeName, type Value } from './jinja/values.js';

/** Facts about a template. */
type Uses = Pick<JinjaTemplate, 'mentions' | 'loopsOverContent' | 'writesArguments'>;

/** Keys that belong to the conversation; a template that does not know one would silently leave it out. */
const TOLD = ['tool_calls', 'function_call', 'refusal', 'audio'] as const;
const REASONING = ['reasoning_content', 'thinking', 'reasoning'] as const;

/** With `images`, parts may be images. @throws OptionError E_OPTION_MESSAGES with the place of the problem */
export function prepareMessages(messages: Value, uses: Uses, images = false): readonly Dict[] {
  if (!isList(messages) || messages.length === 0) return refuse('messages', 'a non-empty list', messages);
  return messages.map((message, i) => {
    const where = `messages.${i}`;
    if (!isDict(message)) return refuse(where, 'an object', message);
    const given = [...message].filter(([, value]) => value !== null);
    const role = message.get('role');
    if (typeof role !== 'string') refuse(`${where}.role`, 'text', role);
    const prepared = new Map(given);
    for (const key of TOLD) {
      if (isTrue(prepared.get(key) ?? null) && !uses.mentions.has(key)) refuseUnused(where, key);
    }
    const calls = prepared.get('tool_calls');
    if (calls !== undefined) prepared.set('tool_calls', prepareCalls(calls, `${where}.tool_calls`, uses));
    const content = prepared.get('content');
    if (content !== undefined) prepared.set('content', prepareContent(content, `${where}.content`, uses, images));
    else if (!isTrue(calls ?? null) && !prepared.has('function_call')) {
      refuse(`${where}.content`, 'text (only a message with tool_calls has none)', null);
    }
    return addReasoning(prepared, where, uses);
  });
}

function addReasoning(message: Map<Key, Value>, where: string, uses: Uses): Dict {
  const key = REASONING.find((name) => message.has(name));
  if (key === undefined) return message;
  const names = ['reasoning_content', 'thinking', key];
  if (isTrue(message.get(key)!) && !names.some((name) => uses.mentions.has(name))) refuseUnused(where, key);
  const reasoning = message.get(key)!;
  return new Map([['thinking', reasoning], ...message, ['reasoning_content', reasoning]] as [Key, Value][]);
}

function prepareContent(content: Value, where: string, { loopsOverContent }: Uses, images: boolean): Value {
  if (typeof content === 'string') return content;
  if (!isList(content)) return refuse(where, 'text, or a list of parts', content);
  const texts = content.map((part, i) => {
    if (!isDict(part)) return refuse(`${where}.${i}`, 'an object', part);
    const type = part.get('type');
    if (type === 'image' && images && loopsOverContent) return '';
    if (type !== 'text') return refuse(`${where}.${i}.type`, '"text", the only part this model reads', type);
    const text = part.get('text');
    return typeof text === 'string' ? text : refuse(`${where}.${i}.text`, 'text', text);
  });
  return loopsOverContent ? content : texts.join('');
}

function prepareCalls(calls: Value, where: string, { writesArguments }: Uses): Value {
  if (!isList(calls)) return refuse(where, 'a list', calls);
  return calls.map((call, i) => {
    const place = `${where}.${i}`;
    const named = isDict(call) ? call.get('function') : undefined;
    if (!isDict(call) || !isDict(named ?? null)) return refuse(place, 'an object with a function', call);
    const called = named as Dict;
    if (typeof called.get('name') !== 'string') refuse(`${place}.function.name`, 'text', called.get('name'));
    const given = called.get('arguments');
    if (writesArguments || typeof given !== 'string') return call;
    return new Map(call).set('function', new Map(called).set('arguments', readArguments(given, place)));
  });
}

function readArguments(text: string, where: string): Value {
  if (text === '') return new Map();
  let value: Value;
  try {
    value = readJson(text);
  } catch {
    return refuse(`${where}.function.arguments`, 'an object as JSON, which this model’s template needs', text);
  }
  return isDict(value) ? value : refuse(`${where}.function.arguments`, 'an object as JSON', text);
}

function refuse(where: string, expected: string, got: Value | undefined): never {
  const shown =
    got === undefined || got === null ? 'nothing' : typeof got === 'string' ? quote(got) : `a ${typeName(got)}`;
  throw new OptionError('E_OPTION_MESSAGES', `${where}: expected ${expected}, got ${shown}.`, {
    ...{ option: 'messages', where },
  });
}

const quote = (text: string): string => JSON.stringify(text.length > 80 ? `${[...text].slice(0, 80).join('')}…` : text);

function refuseUnused(where: string, key: string): never {
  throw new OptionError(
    'E_OPTION_MESSAGES',
    `${where}.${key}: this model’s chat template does not write it, so it would be left out. Put its text into content, or remove the key.`,
    { option: 'messages', where: `${where}.${key}` },
  );
}
