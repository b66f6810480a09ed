export { centerCrop } from './crop.js';
export { type DecodedImage, decodeImage, type Orientation } from './decode.js';
export { encodePng } from './encode-png.js';
export type { LabelFile } from './label-file.js';
export { type MappedLabels, mapLabels } from './labels.js';
export type { Image } from './pixels.js';
export {
  type DrawOptions,
  drawImages,
  type ImageRecord,
  type PreparedImages,
  type PrepareOptions,
  prepareImages,
} from './prepare.js';
export { type ChannelOrder, normalise, outputSize, preprocess } from './preprocess.js';
export { type Preprocessing, readPreprocessing } from './preprocessing.js';
export { type Filter, resize } from './resize.js';
export { type ImageSetOptions, type OpenedImageSet, openImageSet } from './sets/open.js';
export type { Exchange, ImageItem, ImageSet, ImageSource } from './sets/set.js';
export { type Grid, preprocessTiled, WHOLE } from './tiles.js';
export { matchesExactly, normaliseAnswer, scoreVqa } from './vqa.js';
