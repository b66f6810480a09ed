export { cacheFolder } from './cache.js';
export { countCharacters, trimEnd, trimStart } from './characters.js';
export { digestOf, sha256 } from './digest.js';
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
export {
  fileError,
  hashFile,
  readDocument,
  requireAbsent,
  syncDirectory,
  withTemporary,
  writeAtomically,
  writeFileAtomic,
} from './files.js';
export { isLfsPointer } from './lfs.js';
export { takeLock } from './lock.js';
export { type OnProgress, type ProgressEvent, type ProgressUnit, silent } from './progress.js';
export { handOver, type Own, observed, settleAll, withResources } from './resources.js';
export { createRng, type Rng, shuffled } from './rng.js';
export { VERSION } from './version.js';
