export { centerCrop } from './crop.js';
export { type DecodedImage, decodeImage, type Orientation } from './decode.js';
export type { Image } from './pixels.js';
export { type ChannelOrder, normalise, outputSize, preprocess } from './preprocess.js';
export { type Preprocessing, readPreprocessing } from './preprocessing.js';
export { type Filter, resize } from './resize.js';
