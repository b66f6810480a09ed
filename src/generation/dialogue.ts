// A question about images, and its answer, as tokens. The text is that of the checkpoint's chat template; LLaVA-1.5, some of whose files
// have none, falls back on the text that it was trained on:
//   USER: <image>\n{question} ASSISTANT: {answer}</s>
// Each image token becomes as many as an image has rows. Idefics3 and SmolVLM put marks around an image:
//   <fake_token_around_image><global-img><image>…<image><fake_token_around_image>
// and before the first of them around each tile of an image that is cut into some, with \n behind each row of tiles and behind all:
//   <fake_token_around_image><row_1_col_1><image>…<image><fake_token_around_image><row_1_col_2>…
// What is scored is the answer and the token that ends it.

import { CheckpointError, OptionError, UnsupportedError } from '../base/index.js';
import { type Connector, type Model, openConnector, openTrunk } from '../model/index.js';
import { folderTexts } from './folder.js';
import type { Language, ModelFiles } from './language.js';

/** Rows and columns of an image's tiles, which stand before the whole image; none where it is not split. */
export type Tiling = { readonly rows: number; readonly columns: number };

export type Question = {
  readonly question: string;
  readonly answer: string;
  /** The images that stand before the question. */
  readonly images: readonly Tiling[];
};

/** What `padDialogues` takes. */
export type WrittenDialogue = {
  readonly tokens: Int32Array;
  /** Places of the answer's tokens, with the one that ends it. */
  readonly answer: Int32Array;
  /** How many images the model reads, tiles among them. */
  readonly images: number;
};

export type DialogueWriter = {
  /** Where the text comes from. */
  readonly format: 'chat template' | 'llava-1.5';
  readonly imageToken: number;
  /** The text before the answer, with one image token for each image. */
  prompt(item: Omit<Question, 'answer'>): string;
  /** The prompt for an answer as tokens, with as many image tokens as its images have rows. @throws OptionError E_OPTION_IMAGE_TOKENS */
  ask(item: Omit<Question, 'answer'>): Int32Array;
  /** @throws OptionError E_OPTION_ANSWER, E_OPTION_IMAGE_TOKENS, E_OPTION_DIALOGUE_LENGTH */
  write(item: Question): WrittenDialogue;
};

const IMAGE = '<image>';
const MARKS = ['<fake_token_around_image>', '<global-img>'] as const;

/** The text in place of an image, as Idefics3's processor writes it. The tokens of images become as many as there are rows later. */
function marked({ rows, columns }: Tiling): string {
  const [around, whole] = MARKS;
  const line = (row: number): string =>
    Array.from({ length: columns }, (_, column) => `${around}<row_${row + 1}_col_${column + 1}>${IMAGE}`).join('');
  const tiles = Array.from({ length: rows }, (_, row) => `${line(row)}\n`).join('');
  return `${tiles}${tiles === '' ? '' : '\n'}${around}${whole}${IMAGE}${around}`;
}

const readBy = (images: readonly Tiling[]): number =>
  images.reduce((sum, { rows, columns }) => sum + rows * columns + 1, 0);

/** The text files of a checkpoint, with the template of its processor, if it has one, as its chat template. */
export function dialogueTexts(path: string): ModelFiles {
  const own = folderTexts(path);
  const ofProcessor = async (): Promise<string | undefined> => {
    const text = await own.readText('chat_template.json' as Parameters<ModelFiles['readText']>[0]);
    if (text === undefined) return undefined;
    try {
      const { chat_template: template } = JSON.parse(text) as { readonly chat_template?: unknown };
      if (typeof template === 'string') return template;
    } catch {
      // Refused below.
    }
    throw new CheckpointError(
      'E_TEXT_CHAT_TEMPLATE',
      `${path}/chat_template.json: expected an object with a chat_template, a text. Remove it, or copy the checkpoint again.`,
      { file: path },
    );
  };
  return {
    ...own,
    readText: async (name) =>
      (await own.readText(name)) ?? (name === 'chat_template.jinja' ? await ofProcessor() : undefined),
  };
}

/** How dialogues of a checkpoint are written; `model` is one of its trunks. @throws CheckpointError, UnsupportedError */
export async function createDialogueWriter(model: Model, language: Language): Promise<DialogueWriter> {
  const connector = openConnector(await openTrunk(model.checkpoint, 'vision'));
  const { maxPositions } = (await openTrunk(model.checkpoint, 'language')).config;
  return dialogueWriter(connector, language, maxPositions);
}

/** As `createDialogueWriter`, from what it needs of the checkpoint. */
export function dialogueWriter(
  { imageToken, rows, projector }: Pick<Connector, 'imageToken' | 'rows' | 'projector'>,
  { tokenizer, bos, eos, chatTemplate }: Language,
  maxPositions: number,
): DialogueWriter {
  const marks = projector.kind === 'shuffle';
  requireTokens(tokenizer, imageToken, marks);
  if (!chatTemplate && marks) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_CHAT_TEMPLATE',
      'The model has no chat template, and without it nothing says how a question is put to it. Copy chat_template.json or chat_template.jinja from the original.',
    );
  }
  const start = bos === undefined ? '' : tokenizer.decode([bos], true).trim();
  const withImages = (text: string, images: readonly Tiling[]): string => {
    let at = 0;
    // One image too many is counted and refused below.
    return marks ? text.replaceAll(IMAGE, () => marked(images[at++] ?? { rows: 0, columns: 0 })) : text;
  };

  const user = ({ question, images }: Omit<Question, 'answer'>) => ({
    role: 'user',
    content: [...images.map(() => ({ type: 'image' })), { type: 'text', text: question }],
  });
  const prompt = (item: Omit<Question, 'answer'>): string => {
    if (item.question.includes(IMAGE)) {
      throw new OptionError(
        'E_OPTION_IMAGE_TOKENS',
        `The question ${JSON.stringify(item.question.slice(0, 80))} has ${IMAGE} in its text. Leave it out; an image's place is before the question.`,
        { question: item.question },
      );
    }
    if (!chatTemplate) return `USER: ${`${IMAGE}\n`.repeat(item.images.length)}${item.question} ASSISTANT:`;
    return withImages(chatTemplate.render([user(item)], { images: true }), item.images);
  };
  /** The white space before the answer, and what follows it. */
  const around = (item: Question, before: string): readonly [lead: string, tail: string] => {
    if (!chatTemplate) return [' ', ''];
    const said = { role: 'assistant', content: [{ type: 'text', text: item.answer }] };
    const whole = withImages(chatTemplate.render([user(item), said], { images: true }), item.images);
    const rest = whole.startsWith(before) ? whole.slice(before.length) : '';
    const at = rest.indexOf(item.answer);
    if (at >= 0 && rest.slice(0, at).trim() === '') return [rest.slice(0, at), rest.slice(at + item.answer.length)];
    throw new UnsupportedError(
      'E_UNSUPPORTED_CHAT_TEMPLATE',
      'The model’s chat template does not write an answer just behind the prompt for it, so its tokens cannot be told from others.',
      { prompt: before.slice(-80), conversation: rest.slice(0, 80) },
    );
  };
  const encode = (text: string): Int32Array => {
    // As transformers' processors do: no special tokens where the template wrote the first of them.
    const before = start !== '' && text.startsWith(start) ? [] : tokenizer.before;
    return Int32Array.from([...before, ...tokenizer.encode(text, false)]);
  };

  /** Tokens in which an image has all its rows, and the places of those from `common` on. */
  const widen = (item: Omit<Question, 'answer'>, ids: Iterable<number>, common = Number.POSITIVE_INFINITY) => {
    const tokens: number[] = [];
    const answer: number[] = [];
    let [at, images] = [0, 0];
    for (const id of ids) {
      if (at++ >= common) answer.push(tokens.length);
      if (id !== imageToken) tokens.push(id);
      else {
        images++;
        for (let row = 0; row < rows; row++) tokens.push(id);
      }
    }
    const expected = readBy(item.images);
    if (images === expected) return { tokens, answer };
    throw new OptionError(
      'E_OPTION_IMAGE_TOKENS',
      `The text of ${JSON.stringify(item.question.slice(0, 80))} has ${images} image tokens, for ${expected} image(s).`,
      { got: images, expected },
    );
  };

  return {
    format: chatTemplate ? 'chat template' : 'llava-1.5',
    imageToken,
    prompt,
    ask: (item) => Int32Array.from(widen(item, encode(prompt(item))).tokens),
    write: (item) => {
      if (item.answer.trim() === '') {
        throw new OptionError(
          'E_OPTION_ANSWER',
          `The question ${JSON.stringify(item.question.slice(0, 80))} has no answer. Leave it out.`,
          { question: item.question },
        );
      }
      const before = prompt(item);
      const [lead, tail] = around(item, before);
      const asked = encode(before);
      const said = encode(`${before}${lead}${item.answer}`);
      let common = 0;
      while (common < asked.length && asked[common] === said[common]) common++;
      const ids = [...said, endOf(tail, { tokenizer, eos })];
      const { tokens, answer } = widen(item, ids, common);
      if (tokens.length > maxPositions) {
        const split = item.images.some((one) => one.rows > 0) ? ', or set do_image_splitting to false' : '';
        throw new OptionError(
          'E_OPTION_DIALOGUE_LENGTH',
          `The question ${JSON.stringify(item.question.slice(0, 80))} and its answer have ${tokens.length} tokens, ${rows} for each of ${readBy(item.images)} image(s); the model reads at most ${maxPositions}. Leave it out${split}.`,
          { tokens: tokens.length, maxPositions },
        );
      }
      return { tokens: Int32Array.from(tokens), answer: Int32Array.from(answer), images: readBy(item.images) };
    },
  };
}

/** The token that ends an answer: the one that the template writes behind it, if that ends a text; else the tokenizer's. */
function endOf(tail: string, { tokenizer, eos }: Pick<Language, 'tokenizer' | 'eos'>): number {
  const [first] = tail.trim() === '' ? [] : tokenizer.encode(tail.trimStart(), false);
  if (first !== undefined && eos.has(first)) return first;
  const last = [...eos].at(-1);
  if (last !== undefined) return last;
  throw new CheckpointError(
    'E_TEXT_TOKENIZER',
    'Nothing says which token ends an answer. Add eos_token to tokenizer_config.json, or eos_token_id to generation_config.json.',
  );
}

/** Whether the tokenizer has the tokens of images under their names. @throws CheckpointError E_TEXT_TOKENIZER */
function requireTokens(tokenizer: Language['tokenizer'], imageToken: number, marks: boolean): void {
  const got = tokenizer.tokenId(IMAGE);
  const missing = marks ? MARKS.find((word) => tokenizer.tokenId(word) === undefined) : undefined;
  if (got === imageToken && missing === undefined) return;
  const what = missing ?? IMAGE;
  const expected = missing === undefined ? `token ${imageToken}, the image token of config.json` : 'a token';
  throw new CheckpointError(
    'E_TEXT_TOKENIZER',
    `tokenizer.json: ${what}: expected ${expected}, got ${missing === undefined ? (got ?? 'none') : 'none'}. Copy the tokenizer that belongs to the checkpoint.`,
    { token: what },
  );
}
