export { countCharacters, PYTHON_SPACE, trimEnd, trimStart } from './characters.js';
export {
  CheckpointError,
  InternalError,
  LayerwiseError,
  messageOf,
  NumericError,
  OptionError,
  RemoteError,
  ResourceError,
  ShapeError,
  UnsupportedError,
} from './errors.js';
export { isLfsPointer } from './lfs.js';
export { createRng } from './rng.js';
