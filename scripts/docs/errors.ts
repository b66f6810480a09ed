// docs/reference/errors.md: every error code with its messages, by kind, and what to do about each kind.

import type { Codes } from './codes.js';

type Kind = { readonly prefix: string; readonly name: string; readonly advice: string };

/** In the order of the page. */
const KINDS: readonly Kind[] = [
  {
    prefix: 'E_OPTION_',
    name: 'OptionError',
    advice:
      'The call is wrong. Change the option, or the request, that the message names; nothing was computed or written. An option without a code below has one made of its name: `--max-trials` has `E_OPTION_MAX_TRIALS`.',
  },
  {
    prefix: 'E_CHECKPOINT_',
    name: 'CheckpointError',
    advice:
      'A checkpoint or a packed model is not what it should be. Fetch or pack it again; `layerwise inspect` checks it without running anything.',
  },
  {
    prefix: 'E_TEXT_',
    name: 'CheckpointError',
    advice: 'A text, a tokenizer or a chat template cannot be read. Mend the file that the message names.',
  },
  {
    prefix: 'E_TASK_',
    name: 'CheckpointError',
    advice:
      'An item of a zero-shot task is not what it should be. Compare the field that the message names with [the list of fields](tasks.md#the-files).',
  },
  {
    prefix: 'E_IMAGE_',
    name: 'CheckpointError',
    advice:
      'An image or a data set of images cannot be read. Replace, mend or leave out what the message names; [image data](../guide/image-data.md) says what is read.',
  },
  {
    prefix: 'E_UNSUPPORTED_',
    name: 'UnsupportedError',
    advice:
      'Layerwise does not implement this, and running on without it would change results. The message names what is supported.',
  },
  {
    prefix: 'E_NUMERIC_',
    name: 'NumericError',
    advice:
      'Arithmetic cannot go on. Look for NaN and infinities in the checkpoint (`layerwise inspect` counts them), then at the calibration text: more or longer windows make a Gram matrix invertible.',
  },
  {
    prefix: 'E_RESOURCE_',
    name: 'ResourceError',
    advice:
      'Memory, disk, permissions, a device, or a server that is full or stopping. Free what the message names, then repeat the command; an interrupted run continues with `--resume`.',
  },
  {
    prefix: 'E_REMOTE_',
    name: 'RemoteError',
    advice:
      'The Hub or another server is out of reach, refused, or gave a wrong answer. Check the name and the token, then try again; finished parts of a download are kept.',
  },
  {
    prefix: 'E_SHAPE_',
    name: 'ShapeError',
    advice:
      'Shapes do not fit an operation. From the command line this is a defect: please report it. From TypeScript, check the arrays that you pass.',
  },
  {
    prefix: 'E_INTERNAL_',
    name: 'InternalError',
    advice: 'A defect of Layerwise. Please report the message and the command.',
  },
];

/** In prose `<` begins HTML, and `*`, `_` and `|` may be markup. */
const escaped = (text: string): string =>
  text
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/[\\*_|[\]]/g, '\\$&')
    .replaceAll('<', '&lt;');

function entry(code: string, messages: readonly string[]): string {
  const [first, ...others] = messages.map(escaped);
  if (first === undefined) return `- \`${code}\``;
  if (others.length === 0) return `- \`${code}\`: ${first}`;
  return [`- \`${code}\``, ...[first, ...others].map((message) => `  - ${message}`)].join('\n');
}

/** The Markdown of docs/reference/errors.md. @throws Error where a code is of no kind */
export function renderErrors(codes: Codes): string {
  const stray = [...codes.keys()].filter((code) => !KINDS.some(({ prefix }) => code.startsWith(prefix)));
  if (stray.length > 0) throw new Error(`expected codes of a kind in scripts/docs/errors.ts, got ${stray.join(', ')}.`);
  const sections = KINDS.map((kind) => {
    const own = [...codes].filter(([code]) => code.startsWith(kind.prefix));
    const entries = own.map(([code, messages]) => entry(code, messages));
    return `## \`${kind.prefix}…\`: ${kind.name}\n\n${kind.advice}\n\n${entries.join('\n')}\n`;
  });
  return `<!-- Made from the error codes in src/ by npm run docs; change them there. -->

# Error codes

Every error that Layerwise throws on purpose is a \`LayerwiseError\` with a stable \`code\`, the facts as fields, and a message
that says what was expected, what came and what to do next. ‹Words› stand for what a message fills in; a code without a
message has one that is put together where it is thrown.

The command line prints the message on stderr and exits with 2 for an \`OptionError\`, with 1 for any other. The
[server](../guide/serving.md) answers 400 for an \`OptionError\`, 429 for \`E_RESOURCE_QUEUE\`, 503 for \`E_RESOURCE_CLOSED\`, 504 for
\`E_RESOURCE_TIMEOUT\`, and 500 without details for what is not the client's to mend.

${sections.join('\n')}`;
}
