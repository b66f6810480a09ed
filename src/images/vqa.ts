// VQA accuracy (Antol et al. 2015) as the benchmark's own script computes it, its quirks included: of the human answers one at a
// time is left out, and an answer is right to the degree that three of the others are the same. Pure.

const NUMBERS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
const WORDS = new Map([['none', '0'], ...NUMBERS.map((word, value) => [word, `${value}`] as const)]);
const ARTICLES = new Set(['a', 'an', 'the']);

/** Words whose apostrophes are put back where one of them is missing. */
const CONTRACTED = `
  ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd
  how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock oughtn't
  'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've
  someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've
  they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've
  who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd
  you'd've you'll you're you've`;

const CONTRACTIONS = new Map([
  // The script has this one the wrong way round.
  ["somebody'd", 'somebodyd'],
  ...CONTRACTED.trim()
    .split(/\s+/)
    .flatMap((word) =>
      [...word.matchAll(/'/g)].map(({ index }) => [word.slice(0, index) + word.slice(index + 1), word] as const),
    ),
]);

const PUNCTUATION = [...';/[]"{}()=+\\_-><@`,?!'];

/** The script passes a flag where the number of replacements goes. */
const MOST_STOPS = 32;

/** Punctuation beside a space, or in a text with a comma in a number, goes; other becomes a space. Full stops go but before a digit. */
function stripPunctuation(text: string): string {
  const hasNumber = /\p{Nd},\p{Nd}/u.test(text);
  let result = text;
  for (const mark of PUNCTUATION) {
    const goes = hasNumber || text.includes(`${mark} `) || text.includes(` ${mark}`);
    result = result.replaceAll(mark, goes ? '' : ' ');
  }
  let stops = 0;
  return result.replaceAll(/\.(?!\p{Nd})/gu, (stop) => (stops++ < MOST_STOPS ? '' : stop));
}

/** The form in which a model's answer is compared. */
export function normaliseAnswer(answer: string): string {
  const words = stripPunctuation(answer.replaceAll(/[\n\t]/g, ' ').trim())
    .toLowerCase()
    .split(/\s+/);
  return words
    .filter((word) => word !== '')
    .map((word) => WORDS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(' ');
}

/** From 0 to 1, of an answer against those of ten people. People's answers lose their punctuation where they are not all equal. */
export function scoreVqa(answer: string, human: readonly string[]): number {
  const given = normaliseAnswer(answer);
  const truths = new Set(human).size > 1 ? human.map(stripPunctuation) : human;
  const matches = truths.filter((truth) => truth === given).length;
  const sum = truths.reduce((total, truth) => total + Math.min(1, (matches - (truth === given ? 1 : 0)) / 3), 0);
  return truths.length === 0 ? 0 : sum / truths.length;
}

/** Whether an answer is one of the right ones, compared as VQA compares. */
export function matchesExactly(answer: string, right: readonly string[]): boolean {
  const given = normaliseAnswer(answer);
  return right.some((one) => normaliseAnswer(one) === given);
}
