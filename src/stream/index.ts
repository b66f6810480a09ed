export { type Activations, chunksOf, chunkTensor, createActivations, startsOf, takeSamples } from './activations.js';
export {
  checkDialogues,
  continueDialogues,
  type Dialogues,
  imageShareOf,
  padDialogues,
  projectImages,
} from './dialogues.js';
export { embedWindows } from './embed.js';
export type { Images } from './images.js';
export { type Importance, rootFeeds, tapFeeds } from './importance.js';
export { createLeafSum, type Leaf, leavesOf, type Summed } from './leaves.js';
export { type Move, passBlock, passBlocks, showMove, type VisitResidual } from './pass.js';
export {
  type Content,
  countOf,
  embedSamples,
  isTiled,
  pick,
  refusePadding,
  requireText,
  rowsOf,
  type Samples,
  type Scoring,
  scoringOf,
  spreadEvenly,
  type Text,
  takeEvenly,
  weightsOf,
} from './samples.js';
export { copyStream, type Feed, inParallel, runBlock, runChunk, runChunks, sameShape } from './stream.js';
export { addTo, inOrder, type Numbers, sumRuns } from './sums.js';
export type { Captions } from './texts.js';
