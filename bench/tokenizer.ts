// How fast texts become tokens: the first 100 kB and the whole, so that what grows faster than the text shows.
//
//   npm run bench:tokenizer -- <directory with tokenizer.json> <text.txt>

import { loadTokenizer, readCorpus } from '#src/text';

const [dir, path] = process.argv.slice(2);
if (!dir || !path) {
  console.error('usage: npm run bench:tokenizer -- <directory with tokenizer.json> <text.txt>');
  process.exit(2);
}
const tokenizer = await loadTokenizer(dir);
const { text } = await readCorpus(path);
for (const characters of [100_000, text.length]) {
  const part = text.slice(0, characters);
  const started = performance.now();
  const tokens = tokenizer.encode(part).length;
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ characters: part.length, tokens, seconds, charactersPerSecond: part.length / seconds }));
}
