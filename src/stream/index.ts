export { type Activations, chunksOf, chunkTensor, createActivations } from './activations.js';
export { embedWindows } from './embed.js';
export { type Importance, rootFeeds, tapFeeds } from './importance.js';
export { type Move, passBlock, showMove, type VisitResidual } from './pass.js';
export { copyStream, type Feed, inParallel, runBlock, runChunk, runChunks, sameShape } from './stream.js';
export { addTo, inOrder, sumRuns } from './sums.js';
export { embedText, sampleText, spreadEvenly, type Text } from './text.js';
