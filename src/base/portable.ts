export {
  CheckpointError,
  InternalError,
  LayerwiseError,
  NumericError,
  OptionError,
  RemoteError,
  ResourceError,
  ShapeError,
  UnsupportedError,
} from './errors.js';
export { createRng } from './rng.js';
