// The options of models that read images; options.ts has all the others.

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
} as const;
