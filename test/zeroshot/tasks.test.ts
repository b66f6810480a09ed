// From the fields of an item to its requests: made-up items against what scripts/golden/zeroshot.py renders, the public sets
// against lm-evaluation-harness's own rendering of them, and fields that are not what they should be.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadTokenizer } from '../../src/text/index.js';
import {
  chooseShots,
  encodeRequests,
  findSuite,
  findTask,
  loadShots,
  loadTask,
  requestsOf,
} from '../../src/zeroshot/index.js';
import { makeFolder } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { sharedPath, testWith } from '../shared.js';
import { GOLDEN_TASKS, goldenDemo, HARNESS_TASKS, items } from './golden.js';

describe('made-up items', () => {
  test.each(GOLDEN_TASKS)('%s: every request as text', async (name) => {
    const { documents } = await loadTask(items, findTask(name));
    const golden = (await goldenDemo()).tasks[name]!.items;
    const expected = golden.map(({ requests }) =>
      requests.map(({ context, continuation }) => ({ context, continuation })),
    );
    expect(documents.map((document) => requestsOf(document))).toEqual(expected);
    const golds = documents.map(({ question }) => ('gold' in question ? question.gold : 0));
    expect(golds).toEqual(golden.map(({ gold }) => gold));
  });

  test.each(GOLDEN_TASKS)('%s: where context ends and continuation begins in tokens', async (name) => {
    const tokenizer = await loadTokenizer(fileURLToPath(new URL('../../demo/model/', import.meta.url)));
    const { length, tasks } = await goldenDemo();
    const { documents } = await loadTask(items, findTask(name));
    for (const [i, document] of documents.entries()) {
      const encoded = encodeRequests(tokenizer, requestsOf(document), { length, specialTokens: true });
      for (const [j, { context_tokens: before, continuation_tokens: after }] of tasks[name]!.items[
        i
      ]!.requests.entries()) {
        const { input, targets, cut } = encoded[j]!;
        expect(input.length).toBe(Math.min(before + after - 1, length));
        expect(targets.length).toBe(Math.min(after, length));
        expect(cut).toBe(before + after - 1 <= length ? 'nothing' : after > length ? 'continuation' : 'context');
      }
    }
  });

  test('there is an item that is cut, and one that is cut in its continuation', async () => {
    const { length, tasks } = await goldenDemo();
    const all = Object.values(tasks).flatMap((task) => task.items.flatMap(({ requests }) => requests));
    expect(all.some((one) => one.continuation_tokens > length)).toBe(true);
    expect(all.some((one) => one.continuation_tokens < length && one.context_tokens > length)).toBe(true);
  });
});

describe('the data sets as the Hub has them', () => {
  const hub = fileURLToPath(new URL('../golden/zeroshot/hub/', import.meta.url));
  const lines = (name: string): Promise<string> => readFile(join(hub, 'lines', `${name}.jsonl`), 'utf8');
  /** A folder with one file of items. */
  const folderOf = async (name: string, content: string | Uint8Array): Promise<string> => {
    const folder = await makeFolder();
    await writeFile(join(folder, name), content);
    return folder;
  };

  test.each(HARNESS_TASKS)('%s: lines, an array, lines that end in .json, and Parquet ask the same', async (name) => {
    const task = findTask(name);
    const own = (await loadTask(items, task)).documents.filter(({ fields }) => !('query' in fields));
    const text = await lines(name);
    const array = JSON.stringify(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
      null,
      1,
    );
    for (const folder of [
      join(hub, 'lines'),
      join(hub, 'parquet'),
      await folderOf(`${name}.json`, array),
      await folderOf(`${name}.json`, text),
    ]) {
      const { documents } = await loadTask(folder, task);
      expect(documents.map((document) => requestsOf(document))).toEqual(own.map((document) => requestsOf(document)));
      expect(documents.map(({ question }) => question)).toEqual(own.map(({ question }) => question));
      expect(documents.some(({ rendered }) => rendered)).toBe(false);
      // What samples write: Parquet's whole numbers are numbers too.
      expect(documents.map(({ fields }) => fields)).toEqual(
        text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      );
    }
  });

  test('a ctx beside HellaSwag’s own fields is not a rendered context; without them it is', async () => {
    const task = findTask('hellaswag');
    const { documents } = await loadTask(join(hub, 'lines'), task);
    expect(documents.every(({ fields }) => 'ctx' in fields)).toBe(true);
    // As lm-evaluation-harness keeps its documents: cleaned, beside what they were made of.
    const mixed = { ...documents[0]!.fields, query: 'Q: He', choices: ['a', 'b'], gold: 1 };
    const rendered = { ctx: 'Q: He', choices: ['a', 'b'], gold: 1 };
    const folder = await folderOf('hellaswag.json', JSON.stringify([mixed, rendered]));
    const [first, second] = (await loadTask(folder, task)).documents;
    expect(first!.question).toEqual(second!.question);
    expect([first!.rendered, second!.rendered]).toEqual([false, true]);
  });

  test('two files of one name are not chosen between', async () => {
    const folder = await folderOf('rte.jsonl', await lines('rte'));
    await writeFile(join(folder, 'rte.parquet'), await readFile(join(hub, 'parquet', 'rte.parquet')));
    const failing = loadTask(folder, findTask('rte'));
    await expect(failing).rejects.toMatchObject({ code: 'E_OPTION_DATA' });
    await expect(failing).rejects.toThrow(/rte\.jsonl and rte\.parquet/);
  });

  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';
  test.each<[string, string, string, object, RegExp]>([
    ['piqa.json', '[{"goal":"g","sol1":"a","sol2":"b","label":0},{"goal":1}]', 'E_TASK_FIELD', { item: 2 }, /item 2/],
    ['piqa.json', '[{"goal":"g"', 'E_TASK_JSON', {}, /JSON array/],
    ['piqa.json', '[3]', 'E_TASK_LINE', { item: 1 }, /item 1/],
    ['piqa.json', '[]', 'E_TASK_EMPTY', {}, /got none/],
    ['piqa.parquet', 'PAR1 this is not one', 'E_TASK_PARQUET', {}, /Parquet/],
    ['piqa.parquet', pointer, 'E_TEXT_LFS', {}, /git lfs pull/],
    ['piqa.jsonl', pointer, 'E_TEXT_LFS', {}, /git lfs pull/],
    ['piqa.jsonl', '\n{"goal":"g","sol1":["\\ud83d"]}', 'E_TEXT_ENCODING', { line: 2 }, /line 2.*\\ud83d.*character 0/],
    ['piqa.json', '[{"goal":"g\\udc00"}]', 'E_TEXT_ENCODING', { item: 1 }, /item 1.*\\udc00.*character 1/],
  ])('%s %s', async (name, content, code, facts, message) => {
    const failing = loadTask(await folderOf(name, content), findTask('piqa'));
    await expect(failing).rejects.toMatchObject({ code, facts });
    await expect(failing).rejects.toThrow(message);
  });

  test('a row of Parquet that is not an item, or not UTF-8, is named', async () => {
    const rte = await readFile(join(hub, 'parquet', 'rte.parquet'));
    await expect(loadTask(await folderOf('piqa.parquet', rte), findTask('piqa'))).rejects.toMatchObject({
      code: 'E_TASK_FIELD',
      facts: { row: 0, field: 'goal' },
    });
    const latin1 = await readFile(new URL('../golden/text/latin1.parquet', import.meta.url));
    await expect(
      loadTask(await folderOf('lambada_openai.parquet', latin1), findTask('lambada_openai')),
    ).rejects.toMatchObject({ code: 'E_TEXT_ENCODING', facts: { row: 1 } });
  });
});

describe('examples', () => {
  test('mmlu takes the first of its subject’s dev split', async () => {
    const task = findTask('mmlu');
    const { documents } = await loadTask(items, task);
    const pool = await loadShots(items, task);
    const shots = chooseShots(task, documents, documents, pool!.documents, { shots: 2, seed: 0 });
    const contexts = documents.map((document, i) => requestsOf(document, shots[i])[0]!.context);
    expect(contexts).toEqual((await goldenDemo())['mmlu 2 shots'].map(({ requests }) => requests[0]!.context));
  });

  test('others are drawn with the seed from the file of examples, each once', async () => {
    const task = findTask('piqa');
    const { documents } = await loadTask(items, task);
    const pool = (await loadShots(items, task))!.documents;
    const draw = (seed: number) => chooseShots(task, documents, documents, pool, { shots: 2, seed });
    expect(draw(1)).toEqual(draw(1));
    expect([1, 2, 3, 4].some((seed) => JSON.stringify(draw(seed)) !== JSON.stringify(draw(0)))).toBe(true);
    for (const drawn of draw(1)) {
      expect(new Set(drawn).size).toBe(2);
      expect(drawn.every((one) => pool.includes(one))).toBe(true);
    }
    const [first] = draw(1);
    const [request] = requestsOf(documents[0]!, first);
    const written = first!.map(
      ({ fields }) => `Question: ${fields.goal}\nAnswer: ${fields.label === 0 ? fields.sol1 : fields.sol2}\n\n`,
    );
    expect(request!.context).toBe(`${written.join('')}Question: ${documents[0]!.fields.goal}\nAnswer:`);
  });

  test('without a file they are other items, never the item itself', async () => {
    const task = findTask('winogrande');
    const { documents } = await loadTask(items, task);
    expect(await loadShots(items, task)).toBeUndefined();
    const shots = chooseShots(task, documents, documents, undefined, { shots: 2, seed: 3 });
    for (const [i, drawn] of shots.entries()) expect(drawn).not.toContain(documents[i]);
    const [context] = requestsOf(documents[2]!, [documents[0]!]);
    expect(context!.context).toBe(
      'The boy gave the apple to the girl because the girl was hungry.\n\nAnna thanked Mary, and Anna ',
    );
    expect(() => chooseShots(task, documents, documents, undefined, { shots: 3, seed: 3 })).toThrow(/--fewshot/);
  });

  test('cannot be made of items that are rendered already', async () => {
    const folder = await makeFolder();
    const rendered = { ctx: 'A:', choices: ['no', 'yes'], gold: 0 };
    await writeFile(join(folder, 'boolq.jsonl'), `${JSON.stringify(rendered)}\n`.repeat(3));
    const { documents } = await loadTask(folder, findTask('boolq'));
    expect(requestsOf(documents[0]!)[1]).toEqual({ context: 'A:', continuation: ' yes' });
    expect(() => chooseShots(findTask('boolq'), documents, documents, undefined, { shots: 1, seed: 0 })).toThrow(
      /rendered already/,
    );
  });
});

describe('what is not an item', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await makeFolder();
  });
  const piqa = { goal: 'g', sol1: 'a', sol2: 'b', label: 0 };
  const load = async (name: string, ...lines: readonly unknown[]) => {
    const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
    await writeFile(join(folder, `${name}.jsonl`), text);
    return loadTask(folder, findTask(name));
  };

  test.each([
    ['piqa', { ...piqa, sol2: 7 }, 'sol2', 'a string, got 7'],
    ['piqa', { ...piqa, label: -1 }, 'label', 'a whole number from 0 to 1'],
    ['piqa', { ...piqa, label: 1.5 }, 'label', 'a whole number from 0 to 1'],
    ['piqa', { goal: 'g', sol1: 'a', label: 0 }, 'sol2', 'a string, got nothing'],
    ['boolq', { passage: 'p', question: 'q', answer: 'yes' }, 'answer', 'true or false'],
    ['winogrande', { sentence: 'no blank', option1: 'a', option2: 'b', answer: '1' }, 'sentence', 'a blank'],
    ['winogrande', { sentence: 'a _ b', option1: 'a', option2: 'b', answer: '3' }, 'answer', 'one of 1, 2'],
    [
      'arc_easy',
      { question: 'q', choices: { text: ['a'], label: ['A'] }, answerKey: 'A' },
      'choices.text',
      'two or more',
    ],
    ['arc_easy', { question: 'q', choices: 'none', answerKey: 'A' }, 'choices.text', 'got nothing'],
    ['mmlu', { question: 'q', choices: ['a', 'b'], answer: 0, subject: 's' }, 'choices', 'four strings'],
    ['mmlu', { question: 'q', choices: ['a', 'b', 'c', 'd'], answer: 0 }, 'subject', 'a string'],
    ['lambada_openai', { text: 'word' }, 'text', 'two or more words'],
    ['hellaswag', { query: 'q', choices: ['a', 'b'], gold: 2 }, 'gold', 'a whole number from 0 to 1'],
    ['rte', { ctx: 'c', choices: ['a', 'b'] }, 'gold', 'got nothing'],
    ['tofu_retain', { question: 'q', perturbed_answer: ['a', 'b'] }, 'answer', 'a string, got nothing'],
    ['people_forget', { question: 'q', answer: 'a', perturbed_answer: 'b' }, 'perturbed_answer', 'two or more'],
    ['tofu_forget10', { question: 'q', answer: 'a', paraphrased_answer: null }, 'paraphrased_answer', 'got null'],
  ])('%s %j', async (name, wrong, field, message) => {
    const good = (await readFile(join(items, 'piqa.jsonl'), 'utf8')).split('\n')[0]!;
    const failing = load(name, ...(name === 'piqa' ? [good, ''] : []), wrong);
    await expect(failing).rejects.toMatchObject({
      code: 'E_TASK_FIELD',
      facts: { file: join(folder, `${name}.jsonl`), line: name === 'piqa' ? 3 : 1, field },
    });
    await expect(failing).rejects.toThrow(message);
  });

  test('a line that is not an object, a file that is empty or not UTF-8, a folder without the file', async () => {
    await expect(load('piqa', piqa, '{"goal": ')).rejects.toMatchObject({ code: 'E_TASK_LINE', facts: { line: 2 } });
    expect(await codeOf(load('piqa', '[1]'))).toBe('E_TASK_LINE');
    expect(await codeOf(load('piqa', 'null'))).toBe('E_TASK_LINE');
    expect(await codeOf(load('piqa', '', ' '))).toBe('E_TASK_EMPTY');
    await writeFile(join(folder, 'rte.jsonl'), Buffer.of(0x7b, 0xff));
    expect(await codeOf(loadTask(folder, findTask('rte')))).toBe('E_TEXT_ENCODING');
    expect(await codeOf(loadTask(join(folder, 'nowhere'), findTask('piqa')))).toBe('E_OPTION_DATA');
  });

  test('a request without a context, or without a continuation', async () => {
    const tokenizer = await loadTokenizer(fileURLToPath(new URL('../../demo/model/', import.meta.url)));
    const encode = (context: string, continuation: string) => () =>
      encodeRequests(tokenizer, [{ context, continuation }], { length: 9, specialTokens: true });
    for (const [context, continuation] of [
      ['', ' a'],
      [' \n', 'a'],
      ['a', ''],
    ] as const) {
      expect(encode(context, continuation)).toThrow(expect.objectContaining({ code: 'E_TASK_REQUEST' }));
    }
  });
});

test('the averages of the papers have seven tasks that there are', () => {
  for (const name of ['atp', 'wanda']) {
    const { tasks } = findSuite(name);
    expect(tasks.length).toBe(7);
    for (const task of tasks) expect(findTask(task).metrics).toContain('acc');
  }
  expect(() => findSuite('all')).toThrow(expect.objectContaining({ code: 'E_OPTION_SUITE' }));
  expect(() => findTask('copa')).toThrow(expect.objectContaining({ code: 'E_OPTION_TASKS' }));
});

describe('the public sets', () => {
  const data = sharedPath('data', 'zeroshot');
  const read = async (...parts: string[]): Promise<Record<string, unknown>[]> =>
    (await readFile(join(data!, ...parts), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  // Of ARC and OpenBookQA `fields` holds another split than `rendered`, so there is nothing to compare.
  testWith(data, 'the zero-shot sets').each(['piqa', 'hellaswag', 'rte', 'winogrande', 'boolq'])(
    '%s: its fields give what the harness renders',
    async (name) => {
      const { documents } = await loadTask(join(data!, 'fields'), findTask(name));
      const rendered = await loadTask(join(data!, 'rendered'), findTask(name));
      const known = await read('rendered', `${name}.jsonl`);
      expect(documents.length).toBe(known.length);
      for (const [i, document] of documents.entries()) {
        const requests = requestsOf(document);
        const expected = requestsOf(rendered.documents[i]!);
        // The passages lack their titles here, which stand first in what the harness has.
        const title = name === 'boolq' ? /^.*? -- /s.exec(expected[0]!.context)![0] : '';
        const whole = requests.map(({ context, continuation }) => ({ context: title + context, continuation }));
        if (name === 'boolq' && whole[0]!.context !== expected[0]!.context) {
          expect(expected[0]!.context.endsWith(requests[0]!.context), `item ${i}`).toBe(true);
        } else {
          expect(whole, `item ${i}`).toEqual(expected);
        }
        expect('gold' in document.question ? document.question.gold : 0).toBe(known[i]!.gold);
      }
    },
  );

  testWith(data, 'the zero-shot sets').each(['arc_easy', 'arc_challenge', 'openbookqa'])(
    '%s: what the harness renders of one split has the form that we render of the other',
    async (name) => {
      const form = (context: string) => context.replace(/^Question: .*\nAnswer:$/s, 'Question: …\nAnswer:');
      const { documents } = await loadTask(join(data!, 'fields'), findTask(name));
      const known = await read('rendered', `${name}.jsonl`);
      if (name === 'openbookqa') expect(known.every(({ ctx }) => !String(ctx).startsWith('Question:'))).toBe(true);
      else expect(known.every(({ ctx }) => form(String(ctx)) === 'Question: …\nAnswer:')).toBe(true);
      for (const document of documents) {
        const [request] = requestsOf(document);
        if (name !== 'openbookqa') expect(form(request!.context)).toBe('Question: …\nAnswer:');
        else expect(request!.context).toBe(document.fields.question_stem);
      }
    },
  );

  testWith(data, 'the zero-shot sets')(
    'all are read, rendered or not, and every subject of mmlu is a part',
    async () => {
      const { documents } = await loadTask(join(data!, 'rendered'), findTask('mmlu'));
      expect(new Set(documents.map(({ part }) => part)).size).toBe(57);
      expect(documents.length).toBe(14_042);
      const lambada = await loadTask(join(data!, 'rendered'), findTask('lambada_openai'));
      expect(lambada.documents.length).toBe(5_153);
      // The introduction that we make of a subject's name is the one that stands there.
      for (const { part, question } of documents) {
        if (question.form !== 'choices') throw new Error('mmlu has choices');
        expect(question.text.startsWith(findTask('mmlu').introduce!(part.slice('mmlu_'.length)))).toBe(true);
      }
    },
  );
});
