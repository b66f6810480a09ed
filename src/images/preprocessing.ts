// What preprocessor_config.json says is done to an image, as transformers 5 reads the file: legacy names and keys, and the
// default values of each processor's class for what the file leaves out. What would change pixels and is not implemented
// is refused by name. The result is plain data, and goes into records as it is.

import { CheckpointError, UnsupportedError } from '../base/index.js';
import type { Size } from './crop.js';
import type { Filter } from './resize.js';

type Triple = readonly [number, number, number];

export type Preprocessing = {
  /** transformers' class, without the ending that names a backend. */
  readonly processor: string;
  /** The colour of the square that the image is put on first; null: it is not. */
  readonly pad: Triple | null;
  /** `squash` keeps no proportions; `shortest` and `longest` give that side its length and keep them. */
  readonly resize:
    | { readonly mode: 'squash'; readonly height: number; readonly width: number }
    | { readonly mode: 'shortest' | 'longest'; readonly edge: number }
    | null;
  readonly filter: Filter;
  readonly crop: { readonly height: number; readonly width: number } | null;
  /** Squares of this side that the resized image is cut into, or with `split` false squashed to (tiles.ts). Absent for most. */
  readonly tiles?: { readonly side: number; readonly split: boolean };
  /** What pixels are multiplied with; null: nothing. */
  readonly rescale: number | null;
  readonly mean: Triple | null;
  readonly std: Triple | null;
};

type Defaults = {
  readonly resample: number;
  readonly size: unknown;
  readonly mean: Triple;
  readonly std: Triple;
  /** What a whole number for a size means: a square, or the shorter side. */
  readonly square: boolean;
  readonly crop?: unknown;
  readonly doCrop: boolean;
  /** `square`: do_pad puts the image on a square of the mean colour. Other classes pad last. */
  readonly pad?: 'square';
  readonly cropShare?: number;
  /** Sizes are of the longer side; the image is cut into tiles of this side. */
  readonly tile?: number;
};

const HALF: Triple = [0.5, 0.5, 0.5];
const OPENAI_MEAN: Triple = [0.48145466, 0.4578275, 0.40821073];
const OPENAI_STD: Triple = [0.26862954, 0.26130258, 0.27577711];

const openai = { mean: OPENAI_MEAN, std: OPENAI_STD };
const half = { mean: HALF, std: HALF };
const square = (side: number): unknown => ({ height: side, width: side });
const clip: Defaults = {
  ...openai,
  resample: 3,
  size: { shortest_edge: 224 },
  square: false,
  crop: square(224),
  doCrop: true,
};

const tiled: Defaults = {
  ...half,
  resample: 1,
  size: { longest_edge: 4 * 364 },
  square: true,
  doCrop: false,
  tile: 364,
};

/** The attributes of transformers 5.24's classes. */
const PROCESSORS: Readonly<Record<string, Defaults>> = {
  ViTImageProcessor: { ...half, resample: 2, size: square(224), square: true, doCrop: false },
  DeiTImageProcessor: { ...half, resample: 3, size: square(256), square: true, crop: square(224), doCrop: true },
  ConvNextImageProcessor: {
    ...half,
    resample: 3,
    size: { shortest_edge: 384 },
    square: false,
    doCrop: false,
    cropShare: 224 / 256,
  },
  BitImageProcessor: clip,
  CLIPImageProcessor: clip,
  SiglipImageProcessor: { ...half, resample: 3, size: square(224), square: false, doCrop: false },
  LlavaImageProcessor: { ...clip, pad: 'square' },
  Idefics3ImageProcessor: tiled,
  SmolVLMImageProcessor: tiled,
};

/** Who reads several images for one: their text has places for each tile. */
const READ_TILES = ['idefics3', 'smolvlm'];

/** The class for a model whose file names none. */
const OF_MODELS: Readonly<Record<string, string>> = {
  vit: 'ViTImageProcessor',
  deit: 'DeiTImageProcessor',
  convnext: 'ConvNextImageProcessor',
  convnextv2: 'ConvNextImageProcessor',
  dinov2: 'BitImageProcessor',
  dinov2_with_registers: 'BitImageProcessor',
  clip: 'CLIPImageProcessor',
  clip_vision_model: 'CLIPImageProcessor',
  siglip: 'SiglipImageProcessor',
  siglip_vision_model: 'SiglipImageProcessor',
  llava: 'LlavaImageProcessor',
  idefics3: 'Idefics3ImageProcessor',
  idefics3_vision: 'Idefics3ImageProcessor',
  smolvlm: 'SmolVLMImageProcessor',
  smolvlm_vision: 'SmolVLMImageProcessor',
};

const RESAMPLE: readonly Filter[] = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];

const FILE = 'preprocessor_config.json';
type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const invalid = (key: string, expected: string, got: unknown): CheckpointError =>
  new CheckpointError(
    'E_CHECKPOINT_PREPROCESSOR',
    `${FILE}: ${key}: expected ${expected}, got ${JSON.stringify(got) ?? 'nothing'}. Restore the file from the model's source.`,
    { key, expected, got },
  );

const unsupported = (what: string, supported: string): UnsupportedError =>
  new UnsupportedError('E_UNSUPPORTED_PREPROCESSOR', `${FILE}: ${what} is not implemented; ${supported}.`, {
    got: what,
  });

/**
 * Reads a parsed preprocessor_config.json; `modelType` is config.json's, and decides where the file names no processor.
 * @throws CheckpointError E_CHECKPOINT_PREPROCESSOR; UnsupportedError E_UNSUPPORTED_PREPROCESSOR
 */
export function readPreprocessing(json: unknown, { modelType }: { readonly modelType: string }): Preprocessing {
  if (!isObject(json)) throw invalid('the file', 'a JSON object', json);
  const inner = json.image_processor;
  const config = isObject(inner) && json.image_processor_type === undefined ? inner : json; // processor_config.json
  const processor = nameProcessor(config, modelType);
  const defaults = PROCESSORS[processor]!;
  const flag = (key: string, fallback: boolean): boolean => {
    const value = config[key] ?? fallback;
    if (typeof value !== 'boolean') throw invalid(key, 'true or false', value);
    return value;
  };
  const doNormalise = flag('do_normalize', true);
  const mean = triple(config.image_mean ?? defaults.mean, 'image_mean');
  const std = triple(config.image_std ?? defaults.std, 'image_std');
  if (std.includes(0)) throw invalid('image_std', 'no zero', std);
  if (flag('use_square_size', false)) throw unsupported('use_square_size', 'a size with height and width is');
  const tiles = readTiles(config, defaults, flag, { processor, modelType });
  // What tiles are padded with are images that the model leaves out.
  const pad = tiles ? null : readPad(flag('do_pad', false), defaults, mean, processor);
  const cropping = flag('do_center_crop', defaults.doCrop)
    ? sizeOf(config.crop_size ?? defaults.crop, 'crop_size', true)
    : null;
  if (cropping && !('height' in cropping)) throw invalid('crop_size', 'a height and a width', config.crop_size);
  const resizing = flag('do_resize', true) ? readResize(config, defaults) : { resize: null, crop: null };
  if (resizing.crop && cropping && !sameSize(resizing.crop, cropping)) {
    throw unsupported('a crop of ConvNextImageProcessor by crop_pct and another by crop_size', 'one of them is');
  }
  const rescale = flag('do_rescale', true) ? positive(config.rescale_factor ?? 1 / 255, 'rescale_factor') : null;
  return {
    processor,
    pad,
    resize: resizing.resize,
    filter: readFilter(config.resample ?? defaults.resample),
    crop: resizing.crop ?? cropping,
    ...(tiles ? { tiles } : {}),
    rescale,
    mean: doNormalise ? mean : null,
    std: doNormalise ? std : null,
  };
}

const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;

function nameProcessor(config: Json, modelType: string): string {
  if (isObject(config.auto_map)) throw unsupported('a processor whose code comes with the model (auto_map)', listed());
  const legacy = config.feature_extractor_type;
  const named =
    config.image_processor_type ??
    (typeof legacy === 'string' ? legacy.replace('FeatureExtractor', 'ImageProcessor') : legacy);
  if (named === undefined || named === null) {
    const name = OF_MODELS[modelType];
    if (!name) throw unsupported(`the image processor of model type ${JSON.stringify(modelType)}`, listed());
    return name;
  }
  if (typeof named !== 'string') throw invalid('image_processor_type', 'a name', named);
  const name = named.replace('FeatureExtractor', 'ImageProcessor').replace(/(Fast|Pil)$/, '');
  if (!Object.hasOwn(PROCESSORS, name)) throw unsupported(`the image processor ${name}`, listed());
  return name;
}

const listed = (): string => `${Object.keys(PROCESSORS).join(', ')} are`;

type Flag = (key: string, fallback: boolean) => boolean;

/** @throws UnsupportedError where the model reads one image for one */
function readTiles(
  config: Json,
  { tile }: Defaults,
  flag: Flag,
  { processor, modelType }: { readonly processor: string; readonly modelType: string },
): Preprocessing['tiles'] {
  if (tile === undefined) return undefined;
  if (!READ_TILES.includes(modelType.replace(/_vision$/, '')))
    throw unsupported(
      `${processor} for model type ${JSON.stringify(modelType)}`,
      `for ${READ_TILES.join(' and ')} it is`,
    );
  const split = flag('do_image_splitting', true);
  const size = sizeOf(config.max_image_size ?? { longest_edge: tile }, 'max_image_size', true);
  if (!('longest' in size)) throw invalid('max_image_size', 'longest_edge', config.max_image_size);
  flag('do_pad', true);
  if (flag('do_center_crop', false)) throw unsupported(`do_center_crop of ${processor}`, 'max_image_size is');
  return { side: size.longest, split };
}

/** The colour of the square. @throws UnsupportedError for a class that pads otherwise */
function readPad(doPad: boolean, defaults: Defaults, mean: Triple, processor: string): Triple | null {
  if (!doPad) return null;
  if (defaults.pad !== 'square') throw unsupported(`do_pad of ${processor}`, 'that of LlavaImageProcessor is');
  const [r, g, b] = mean.map((value) => Math.trunc(value * 255)) as [number, number, number];
  return [r, g, b];
}

type SizeKind = Size | { readonly edge: number } | { readonly longest: number };

function sizeOf(value: unknown, key: string, isSquare: boolean): SizeKind {
  const whole = (one: unknown): number => {
    if (Number.isInteger(one) && (one as number) > 0 && (one as number) <= 16384) return one as number;
    throw invalid(key, 'whole numbers of pixels, at most 16384', value);
  };
  if (typeof value === 'number')
    return isSquare ? { height: whole(value), width: whole(value) } : { edge: whole(value) };
  if (Array.isArray(value) && value.length === 2) return { height: whole(value[0]), width: whole(value[1]) };
  if (!isObject(value)) throw invalid(key, 'a number, or an object of sizes', value);
  const keys = Object.keys(value)
    .filter((one) => value[one] !== null)
    .sort();
  if (keys.join() === 'height,width') return { height: whole(value.height), width: whole(value.width) };
  if (keys.join() === 'shortest_edge') return { edge: whole(value.shortest_edge) };
  if (keys.join() === 'longest_edge') return { longest: whole(value.longest_edge) };
  throw unsupported(`${key} by ${keys.join(' and ') || 'nothing'}`, 'height and width, or one edge, are');
}

function readResize(
  config: Json,
  defaults: Defaults,
): { readonly resize: NonNullable<Preprocessing['resize']>; readonly crop: Preprocessing['crop'] } {
  if (config.max_size !== undefined && config.max_size !== null) throw unsupported('max_size', 'size is');
  const size = sizeOf(config.size ?? defaults.size, 'size', defaults.square);
  if (defaults.cropShare !== undefined) return resizeConvNext(config, size, defaults.cropShare);
  const wrong = defaults.tile === undefined ? 'longest' in size : 'edge' in size;
  if (wrong) {
    const [got, known] = defaults.tile === undefined ? ['longest', 'shortest'] : ['shortest', 'longest'];
    throw unsupported(`size by ${got}_edge`, `height and width, or ${known}_edge, are`);
  }
  if ('longest' in size) return { resize: { mode: 'longest', edge: size.longest }, crop: null };
  if ('edge' in size) return { resize: { mode: 'shortest', edge: size.edge }, crop: null };
  return { resize: { mode: 'squash', height: size.height, width: size.width }, crop: null };
}

/** Below 384 the shorter side becomes ⌊size / crop_pct⌋ and the middle is taken; from 384 on the image is squashed. */
function resizeConvNext(config: Json, size: SizeKind, fallback: number): ReturnType<typeof readResize> {
  if (!('edge' in size)) throw invalid('size', 'shortest_edge, or a number', config.size);
  const { edge } = size;
  if (edge >= 384) return { resize: { mode: 'squash', height: edge, width: edge }, crop: null };
  const share = positive(config.crop_pct ?? fallback, 'crop_pct');
  if (share > 1) throw invalid('crop_pct', 'a share of at most 1', share);
  return {
    resize: { mode: 'shortest', edge: Math.trunc(edge / share) },
    crop: { height: edge, width: edge },
  };
}

function positive(value: unknown, key: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw invalid(key, 'a positive number', value);
}

function triple(value: unknown, key: string): Triple {
  const values = typeof value === 'number' ? [value, value, value] : value;
  const fits =
    Array.isArray(values) &&
    values.length === 3 &&
    values.every((one) => typeof one === 'number' && Number.isFinite(one));
  if (!fits) throw invalid(key, 'three numbers', value);
  return [values[0], values[1], values[2]];
}

function readFilter(value: unknown): Filter {
  const filter = typeof value === 'number' ? RESAMPLE[value] : undefined;
  if (!filter) throw invalid('resample', 'a whole number from 0 to 5', value);
  return filter;
}
