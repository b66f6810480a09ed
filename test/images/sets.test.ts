import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeImage,
  type ImageItem,
  type ImageSetOptions,
  type OpenedImageSet,
  openImageSet,
} from '../../src/images/index.js';
import { runs } from '../scale.js';
import { codeOf, imageBytes, imagePath } from './golden.js';

const golden = fileURLToPath(new URL('../golden/images/sets/', import.meta.url));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-images-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

let made = 0;
/** A new folder with copies of test images and files of text. */
async function folder(images: readonly string[], files: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const root = join(dir, `${made++}`);
  await mkdir(root);
  for (const name of images) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await copyFile(imagePath('jpeg-one.jpg'), join(root, name));
  }
  for (const [name, value] of Object.entries(files)) {
    await writeFile(join(root, name), typeof value === 'string' ? value : JSON.stringify(value));
  }
  return root;
}

const classesOf = (set: OpenedImageSet): unknown =>
  set.items.map(({ name, label }) => [name, label === undefined ? undefined : set.classNames![label]]);
const wordsOf = (set: OpenedImageSet): unknown => set.items.map(({ image, name, ...words }) => words);

/** The error of opening, and that it says something. */
async function refused(path: string, options: ImageSetOptions, code: string, says: RegExp): Promise<void> {
  const error = await openImageSet(path, options).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code, message: expect.stringMatching(says) });
}

describe('folders', () => {
  test('of classes: sorted by code point, as Python sorts', async () => {
    const root = await folder([
      'b/2.jpg',
      'b/10.JPEG',
      'B/1.jpg',
      '😀/1.jpg',
      '￿/1.png',
      'b/deep/3.webp',
      'b/._2.jpg',
      'b/notes.txt',
    ]);
    const set = await openImageSet(root);
    expect(set.layout).toBe('folders');
    expect(set.classNames).toEqual(['B', 'b', '￿', '😀']);
    expect(classesOf(set)).toEqual([
      ['B/1.jpg', 'B'],
      ['b/10.JPEG', 'b'],
      ['b/2.jpg', 'b'],
      ['b/deep/3.webp', 'b'],
      ['￿/1.png', '￿'],
      ['😀/1.jpg', '😀'],
    ]);
    expect(Buffer.from(await set.read(set.items[1]!))).toEqual(Buffer.from(imageBytes('jpeg-one.jpg')));
  });

  test('flat, without labels', async () => {
    const set = await openImageSet(await folder(['x.jpg', 'a.jpg']));
    expect(set).toMatchObject({ layout: 'flat', count: 2, classNames: undefined, labelFile: undefined });
    expect(set.items.map(({ name }) => name)).toEqual(['a.jpg', 'x.jpg']);
  });

  test('flat, labelled by name', async () => {
    const root = await folder(['n01440764_tench.JPEG', 'n01443537_goldfish.JPEG', 'n01440764_18.JPEG']);
    expect(classesOf(await openImageSet(root, { labels: 'name' }))).toEqual([
      ['n01440764_18.JPEG', 'n01440764'],
      ['n01440764_tench.JPEG', 'n01440764_tench'],
      ['n01443537_goldfish.JPEG', 'n01443537_goldfish'],
    ]);
    await refused(await folder(['plain.jpg']), { labels: 'name' }, 'E_IMAGE_SET', /plain\.jpg/);
  });

  test('flat, labelled by a file', async () => {
    const root = await folder(['1.jpg', '2.jpg']);
    const labels = async (value: unknown, name = 'labels.json'): Promise<ImageSetOptions> => ({
      labels: join(await folder([], { [name]: value }), name),
    });
    const expected = [
      ['1.jpg', 'cat'],
      ['2.jpg', 'dog'],
    ];
    for (const value of [{ '1.jpg': 'cat', '2.jpg': 'dog' }, { 1: 'cat', 2: 'dog' }, ['cat', 'dog']]) {
      expect(classesOf(await openImageSet(root, await labels(value)))).toEqual(expected);
    }
    for (const lines of ['1.jpg cat\n2.jpg dog\n', '1,cat\r\n2,dog', '1.jpg\tcat\n\n2.jpg\tdog', 'cat\ndog']) {
      expect(classesOf(await openImageSet(root, await labels(lines, 'labels.txt')))).toEqual(expected);
    }
    await refused(root, await labels({ '1.jpg': 'cat' }), 'E_OPTION_LABELS', /1 have none, such as 2\.jpg/);
    await refused(root, await labels(['cat']), 'E_OPTION_LABELS', /each of 2 images, got 1/);
    await refused(root, await labels({ '1.jpg': [1] }), 'E_OPTION_LABELS', /\[1\]/);
    await refused(root, await labels('1.jpg cat\n2.jpg', 'l.txt'), 'E_OPTION_LABELS', /2\.jpg/);
    await refused(root, await labels('', 'l.txt'), 'E_OPTION_LABELS', /none/);
    await refused(root, await labels('{', 'l.txt'), 'E_OPTION_LABELS', /JSON/);
  });

  test('a file of labels beside classes is kept for the model’s labels', async () => {
    const root = await folder(['a/1.jpg'], { 'map.txt': 'a tench' });
    const set = await openImageSet(root, { labels: join(root, 'map.txt') });
    expect(set.labelFile).toMatchObject({ kind: 'map', entries: new Map([['a', 'tench']]) });
  });

  test('what is ambiguous or empty is refused by name', async () => {
    await refused(await folder(['1.jpg', 'a/1.jpg']), {}, 'E_IMAGE_SET', /both: a and 1\.jpg/);
    const both = await folder(['n01440764_1.jpg', 'a/1.jpg']);
    expect((await openImageSet(both, { labels: 'name' })).classNames).toEqual(['n01440764']);
    expect((await openImageSet(both, { labels: 'folder' })).classNames).toEqual(['a']);
    const words = await folder([], { 'x.jsonl': '{"question":"q","answer":"a"}', 'l.json': { a: 'b' } });
    await refused(join(words, 'x.jsonl'), { labels: join(words, 'l.json') }, 'E_OPTION_LABELS', /items with classes/);
    await refused(await folder([]), {}, 'E_IMAGE_SET', /found none/);
    await refused(await folder(['a/1.jpg', 'b/.hidden.jpg']), {}, 'E_IMAGE_SET', /b: expected images of a class/);
    await refused(await folder(['1.jpg']), { labels: 'folder' }, 'E_OPTION_LABELS', /a folder for each class/);
    await refused(await folder(['a/1.jpg']), { labels: 'name' }, 'E_OPTION_LABELS', /names/);
    await refused(join(dir, 'nowhere'), {}, 'E_RESOURCE_NOT_FOUND', /nowhere/);
    await refused(
      await folder([], { 'x.tar.gz': '' }).then((root) => join(root, 'x.tar.gz')),
      {},
      'E_OPTION_IMAGES',
      /\.gz/,
    );
  });

  test('a link that leads back ends', async () => {
    const root = await folder(['a/1.jpg']);
    await symlink(root, join(root, 'a', 'again'));
    await refused(root, {}, 'E_IMAGE_SET', /deep/);
  });

  test('a Git LFS pointer is named', async () => {
    const set = await openImageSet(await folder([], { 'x.jpg': 'version https://git-lfs.github.com/spec/v1\noid' }));
    expect(await codeOf(set.read(set.items[0]!))).toBe('E_IMAGE_LFS');
  });

  test('the hash knows names and labels', async () => {
    const [one, two] = [await folder(['a/1.jpg', 'b/1.jpg']), await folder(['a/1.jpg', 'b/1.jpg'])];
    const hash = async (root: string): Promise<string> => (await openImageSet(root)).hash;
    expect(await hash(one)).toBe(await hash(two));
    expect(await hash(await folder(['a/1.jpg', 'c/1.jpg']))).not.toBe(await hash(one));
  });
});

describe('Parquet', () => {
  test('images as structs, labels with names in the metadata', async () => {
    const set = await openImageSet(join(golden, 'images.parquet'));
    expect(set.classNames).toEqual(['tench', 'goldfish', 'great white shark']);
    expect(set.items.map(({ label }) => label)).toEqual([2, 0, 1, 0, 2]);
    expect(set.items[1]).toMatchObject({ question: 'What is in picture 1?', answers: ['fish', 'a tench'] });
    const files = ['jpeg-444.jpg', 'png-rgb.png', 'webp-lossy.webp', 'jpeg-grey.jpg', 'png-palette-4.png'];
    for (const place of [4, 0, 3, 1, 2]) {
      expect(Buffer.from(await set.read(set.items[place]!))).toEqual(Buffer.from(imageBytes(files[place]!)));
    }
  });

  test('images as bytes, labels as text', async () => {
    const set = await openImageSet(join(golden, 'binary.parquet'));
    expect(set.classNames).toEqual(['cat', 'dog']);
    expect(Buffer.from(await set.read(set.items[1]!))).toEqual(Buffer.from(imageBytes('png-rgb.png')));
  });

  test('a folder of shards is one split', async () => {
    const root = await folder([]);
    for (const name of ['test-00000-of-00001', 'train-00000-of-00002', 'train-00001-of-00002']) {
      await copyFile(join(golden, 'images.parquet'), join(root, `${name}.parquet`));
    }
    await refused(root, {}, 'E_OPTION_SPLIT', /one of test, train/);
    await refused(root, { split: 'val' }, 'E_OPTION_SPLIT', /got val/);
    const set = await openImageSet(root, { split: 'train' });
    expect(set.count).toBe(10);
    expect(Buffer.from(await set.read(set.items[9]!))).toEqual(Buffer.from(imageBytes('png-palette-4.png')));
  });

  test('columns are named', async () => {
    const path = join(golden, 'images.parquet');
    await refused(path, { imageColumn: 'img' }, 'E_OPTION_COLUMN', /image, label, question, answers, got img/);
    expect((await openImageSet(path, { labelColumn: 'label' })).classNames).toHaveLength(3);
    const text = fileURLToPath(new URL('../golden/text/documents.parquet', import.meta.url));
    await refused(text, {}, 'E_OPTION_COLUMN', /id, text, got none/);
  });
});

describe('WebDataset', () => {
  test.each(['pax.tar', 'gnu.tar'])('%s', async (name) => {
    const set = await openImageSet(join(golden, name));
    expect(
      set.items.map((item) => [item.name.slice(-12), set.classNames![item.label!], item.question, item.answers]),
    ).toEqual([
      ['images/a.b.png'.slice(-12), '1', undefined, undefined],
      [`${'l'.repeat(20)}/two.jpg`.slice(-12), '0', undefined, undefined],
      ['bäume.webp', '1', 'Which tree?', ['oak']],
    ]);
    expect(set.items[1]!.name).toHaveLength(148);
    const files = ['png-rgb.png', 'jpeg-444.jpg', 'webp-lossy.webp'];
    for (const [place, file] of files.entries()) {
      expect(Buffer.from(await set.read(set.items[place]!))).toEqual(Buffer.from(imageBytes(file)));
    }
  });

  test('a tar cut short is refused, wherever a member does not end', async () => {
    const bytes = await readFile(join(golden, 'pax.tar'));
    for (const length of [100, 600, 1100, 4096, 9000]) {
      await writeFile(join(dir, 'cut.tar'), bytes.subarray(0, length));
      await refused(join(dir, 'cut.tar'), {}, 'E_IMAGE_SET', /at least|bytes of a tar member|empty blocks/);
    }
  });
});

test('two tars in one file are refused', async () => {
  const bytes = await readFile(join(golden, 'pax.tar'));
  await writeFile(join(dir, 'two.tar'), Buffer.concat([bytes, bytes]));
  await refused(join(dir, 'two.tar'), {}, 'E_IMAGE_SET', /nothing after the end/);
});

describe('documents', () => {
  test('our own lines', async () => {
    const lines = [
      { image: 'a.jpg', question: 'How many?', answer: 'two' },
      { image: 'sub/b.jpg', question: 'Which?', choices: ['left', 'right'], answer: 1 },
      { question: 'Which?', choices: ['left', 'right'], answer: 'left', context: 'No image.' },
      { image: 'a.jpg', question: 'Colour?', answers: ['red', 'red', 'dark red'] },
    ];
    const root = await folder(['a.jpg', 'sub/b.jpg'], {
      'qa.jsonl': lines.map((line) => JSON.stringify(line)).join('\n'),
    });
    const set = await openImageSet(join(root, 'qa.jsonl'));
    expect(wordsOf(set)).toEqual([
      { question: 'How many?', answers: ['two'] },
      { question: 'Which?', choices: ['left', 'right'], correct: 1, answers: ['right'] },
      { question: 'Which?', choices: ['left', 'right'], correct: 0, answers: ['left'], context: 'No image.' },
      { question: 'Colour?', answers: ['red', 'red', 'dark red'] },
    ]);
    expect(set.items.map(({ image }) => image !== undefined)).toEqual([true, true, false, true]);
    await decodeImage(await set.read(set.items[1]!), 'b');
    expect(await codeOf(set.read(set.items[2]!))).toBe('E_OPTION_IMAGE_NONE');
    const labelled = await folder(['a.jpg', 'b.jpg'], {
      'l.jsonl': '{"image":"a.jpg","label":"cat"}\n\n{"image":"b.jpg","label":7}\n',
    });
    expect(classesOf(await openImageSet(join(labelled, 'l.jsonl')))).toEqual([
      ['a.jpg', 'cat'],
      ['b.jpg', '7'],
    ]);
  });

  test('the guide’s lines are read', async () => {
    const guide = await readFile(new URL('../../docs/guide/image-data.md', import.meta.url), 'utf8');
    const lines = /```json\n([\s\S]*?)```/.exec(guide)![1]!.trim().split('\n');
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const root = await folder([], { 'guide.jsonl': line });
      expect((await openImageSet(join(root, 'guide.jsonl'))).count).toBe(1);
    }
  });

  test.each<[string, RegExp]>([
    ['{"image": "a.jpg"', /line 1: expected JSON/],
    ['{"image": "a.jpg"}\n[1]', /line 2: expected a JSON object/],
    ['{"image": 3}', /"image", got 3/],
    ['{}', /an "image" or a "question"/],
    ['{"image": "a.jpg", "answer": "x"}', /a "question" with its answer/],
    ['{"image": "a.jpg", "question": "q", "answer": "x", "answers": ["x"]}', /got both/],
    ['{"image": "a.jpg", "question": "q", "choices": ["a"], "answer": 1}', /below 1/],
    ['{"image": "a.jpg", "question": "q", "choices": ["a"], "answer": "b"}', /one of the choices/],
    ['{"image": "a.jpg", "question": "q", "answers": "b"}', /a list/],
    ['{"image": "a.jpg", "label": 1.5}', /1\.5/],
    ['{"image": "a.jpg", "label": 1}\n{"image": "b.jpg"}', /1 of 2; b\.jpg has none/],
  ])('%s is refused with its place', async (text, says) => {
    const root = await folder([], { 'x.jsonl': text });
    await refused(join(root, 'x.jsonl'), {}, 'E_IMAGE_SET', says);
  });

  test('text that is not UTF-8 is refused', async () => {
    const root = await folder([]);
    await writeFile(join(root, 'x.jsonl'), Buffer.from('{"image":"caf\xe9.jpg"}', 'latin1'));
    await refused(join(root, 'x.jsonl'), {}, 'E_IMAGE_SET', /UTF-8/);
  });

  test('LLaVA’s conversations: an item for each answer, with what came before', async () => {
    const value = (from: string, text: string) => ({ from, value: text });
    const json = [
      {
        id: '1',
        image: 'a.jpg',
        conversations: [
          value('human', '<image>\nWhat?'),
          value('gpt', 'A cat.'),
          value('human', 'Why?'),
          value('gpt', 'So.'),
        ],
      },
      { id: '2', conversations: [value('human', 'Hello'), value('gpt', 'Hi.')] },
    ];
    const root = await folder(['a.jpg'], { 'llava.json': json, 'bad.json': [{ conversations: [value('gpt', 'x')] }] });
    const set = await openImageSet(join(root, 'llava.json'));
    expect(wordsOf(set)).toEqual([
      { question: 'What?', answers: ['A cat.'] },
      { question: 'Why?', answers: ['So.'], history: [{ question: 'What?', answer: 'A cat.' }] },
      { question: 'Hello', answers: ['Hi.'] },
    ]);
    expect(set.items.map(({ image }) => image?.kind)).toEqual(['file', 'file', undefined]);
    await refused(join(root, 'bad.json'), {}, 'E_IMAGE_SET', /item 0, turn 0: expected a turn of "human", got "gpt"/);
  });

  test('VQA: ten answers a question', async () => {
    const answers = ['net', 'net', 'nets'].map((answer) => ({ answer }));
    const json = { data_subtype: 'val2014', questions: [{ image_id: 42, question: 'What?', question_id: 420 }] };
    const root = await folder(['COCO_val2014_000000000042.jpg'], {
      'q.json': json,
      'a.json': { annotations: [{ question_id: 420, answers, multiple_choice_answer: 'net' }] },
      'other.json': { annotations: [] },
    });
    const set = await openImageSet(join(root, 'q.json'), { annotations: join(root, 'a.json') });
    expect(wordsOf(set)).toEqual([{ question: 'What?', answers: ['net', 'net', 'nets'] }]);
    await decodeImage(await set.read(set.items[0]!), 'x');
    await refused(join(root, 'q.json'), {}, 'E_OPTION_ANNOTATIONS', /name it/);
    await refused(join(root, 'q.json'), { annotations: join(root, 'other.json') }, 'E_IMAGE_SET', /420/);
    await refused(
      join(root, 'q.json'),
      { annotations: join(root, 'a.json'), root: dir },
      'E_IMAGE_SET',
      /000000000042\.jpg/,
    );
  });

  test('ScienceQA: half without an image', async () => {
    const problem = (image: string | null, split: string) => ({
      question: 'Which?',
      choices: ['a', 'b'],
      answer: 1,
      hint: '',
      image,
      split,
    });
    const root = await folder(['test/2/image.png'], {
      'problems.json': { 1: problem(null, 'train'), 2: { ...problem('image.png', 'test'), hint: 'Look.' } },
    });
    const set = await openImageSet(root);
    expect(wordsOf(set)).toEqual([
      { question: 'Which?', choices: ['a', 'b'], correct: 1, answers: ['b'] },
      { question: 'Which?', choices: ['a', 'b'], correct: 1, answers: ['b'], context: 'Look.' },
    ]);
    await decodeImage(await set.read(set.items[1]!), 'x');
    expect((await openImageSet(root, { split: 'test' })).count).toBe(1);
    await refused(root, { split: 'none' }, 'E_IMAGE_SET', /found none/);
  });
});

const leaf = fc.oneof(
  fc.constantFrom('human', 'gpt', 'a.jpg', null),
  fc.string({ maxLength: 5 }),
  fc.double(),
  fc.nat(3),
  fc.boolean(),
);

describe('damaged files are a set or a typed error', () => {
  const typed = /^(no error|E_(IMAGE_|OPTION_|RESOURCE_))/;
  const readAll = async (path: string): Promise<void> => {
    const set = await openImageSet(path);
    for (const item of set.items as ImageItem[]) if (item.image) await set.read(item);
  };
  test.each(['images.parquet', 'binary.parquet', 'pax.tar', 'gnu.tar'])('%s', async (name) => {
    const bytes = await readFile(join(golden, name));
    const path = join(dir, name);
    // Tars are mostly zeros: half of the changes go to where there is something.
    const used = [...bytes.keys()].filter((at) => bytes[at] !== 0);
    const place = fc.oneof(fc.nat(bytes.length - 1), fc.constantFrom(...used));
    const flips = fc.array(fc.tuple(place, fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(flips, fc.option(fc.nat(bytes.length)), async (changes, length) => {
        const changed = Uint8Array.from(bytes);
        for (const [at, mask] of changes) changed[at]! ^= mask;
        await writeFile(path, changed.subarray(0, length ?? bytes.length));
        expect(await codeOf(readAll(path))).toMatch(typed);
      }),
      { numRuns: runs(250) },
    );
  });

  test('any bytes behind the usual starts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('.tar', '.parquet', '.json', '.jsonl'),
        fc.uint8Array({ maxLength: 700 }),
        async (ending, rest) => {
          const path = join(dir, `random${ending}`);
          const edge = Buffer.from(ending === '.parquet' ? 'PAR1' : '');
          await writeFile(path, Buffer.concat([edge, rest, edge]));
          expect(await codeOf(readAll(path))).toMatch(typed);
        },
      ),
      { numRuns: runs(200) },
    );
  });

  test('documents of any shape', async () => {
    const keys = [
      'image',
      'question',
      'questions',
      'answer',
      'answers',
      'choices',
      'label',
      'conversations',
      'value',
      'from',
    ];
    const key = fc.constantFrom(...keys, 'image_id', 'question_id', 'split', 'hint', 'context', '1');
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(tree, fc.constantFrom('x.json', 'x.jsonl'), async (json, name) => {
        await writeFile(join(dir, name), JSON.stringify(json));
        expect(await codeOf(openImageSet(join(dir, name), { annotations: join(dir, 'x.json') }))).toMatch(typed);
      }),
      { numRuns: runs(200) },
    );
  });
});
