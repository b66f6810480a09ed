// The options of models that read images; options.ts has all the others.

import { TOWER_BUDGETS, UNITS } from '../runs/index.js';

export const IMAGE_OPTIONS = {
  images: {
    kind: 'text',
    flag: '--images',
    value: 'folder|file',
    text: 'images, for a model that reads these: one folder per class, a flat folder, .parquet, .tar (webdataset), .json or .jsonl (docs/guide/image-data.md); of evaluate to score, elsewhere to measure, like --calibration',
  },
  labels: {
    kind: 'text',
    flag: '--labels',
    value: 'folder|name|file',
    text: 'how images get their classes: the folder they are in, the part of a file’s name before _, or a file; they are matched with the model’s by name, never by position',
    otherwise: 'what the set has',
  },
  orientation: {
    kind: 'text',
    flag: '--orientation',
    value: 'ignore|apply',
    text: 'whether images are turned as their EXIF data says',
    otherwise: 'ignore, as torchvision’s ImageFolder does',
  },
  qa: {
    kind: 'text',
    flag: '--qa',
    value: 'file',
    text: 'questions about images with their answers, for a model that answers these: JSON lines, LLaVA’s or ScienceQA’s .json, .parquet or .tar (docs/guide/image-data.md)',
  },
  captions: {
    kind: 'text',
    flag: '--captions',
    value: 'file',
    text: 'images with captions, for a CLIP or SigLIP: recall at 1, 5 and 10, of captions by their image and of images by their caption; JSON lines with "caption" or "captions", or .tar with .txt (docs/guide/image-data.md)',
  },
  answerTokens: {
    kind: 'number',
    flag: '--answer-tokens',
    value: 'n',
    text: 'with --qa, also write answers greedily, of at most n tokens, and compare them with the given ones: exact match, and VQA accuracy where questions have several answers; each token is a pass over the questions',
    otherwise: '0, none',
  },
  scope: {
    kind: 'text',
    flag: '--scope',
    value: 'vision|language|text|all',
    text: 'which trunk of a checkpoint with several; the others stay as they are, byte for byte. text, of prune, compare and quantise: that of a CLIP or SigLIP, measured on images with captions. all, of prune: vision, then language on what that made',
    otherwise: 'language where there is one, else vision',
  },
  towerSparsity: {
    kind: 'text',
    flag: '--tower-sparsity',
    value: 'vision=S,language=S',
    text: 'with --scope all, the sparsity of each trunk',
    otherwise: '--sparsity for both',
  },
  unit: {
    kind: 'text',
    flag: '--unit',
    value: UNITS.join('|'),
    text: 'what gets one rate: a block, or the blocks of a stage together, for models with stages (ConvNeXt) and allocations uniform, atp and ecoflap',
    otherwise: 'block',
  },
  towerBudget: {
    kind: 'text',
    flag: '--tower-budget',
    value: TOWER_BUDGETS.join('|'),
    text: 'with --scope all, whether each trunk keeps its sparsity, or both keep --sparsity together by an allocation over the blocks of both: ecoflap, or one without numbers to search',
    otherwise: 'each',
  },
  classes: {
    kind: 'text',
    flag: '--classes',
    value: 'file',
    text: 'names of classes, one a line, against which a model of images and texts (CLIP, SigLIP) is scored; the classes of the images are matched with them by name',
  },
  templates: {
    kind: 'text',
    flag: '--templates',
    value: 'file',
    text: 'texts that the names of --classes are put into, one a line, with {} where a name goes; a class is the mean of its texts',
    otherwise: 'a photo of a {}.',
  },
} as const;
