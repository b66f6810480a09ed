// Writes the text that scripts/demo/train.py trains on: node build/scripts/demo/write-training-text.js <file>

import { writeFileSync } from 'node:fs';
import { generateStories } from './stories.js';
import { TRAINING } from './texts.js';

const [path] = process.argv.slice(2);
if (!path) throw new Error('usage: write-training-text <file>');
writeFileSync(path, generateStories(TRAINING.seed, TRAINING.characters));
