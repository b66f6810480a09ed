export type { BlockBuilder } from './blocks/block-builder.js';
export { type ActivationGrids, type BlockOutputs, rootOf, TOKENS_PER_EXPERT } from './blocks/graph-block-builder.js';
export { expertOf, expertSite, type TapSite } from './blocks/parts.js';
export { findFamily, keyOf, type ModelConfig, readModelConfig } from './config.js';
export { amendConfig } from './config-text.js';
export type { Classes } from './embed.js';
export { requireEmbeds } from './embed-head.js';
export { EXPERT_SUMS, expertGraph } from './expert-graph.js';
export { type KeptExperts, mendExperts, renameExperts, unevenExperts } from './experts.js';
export { type ActivationGrid, clipOf } from './fake-quantise.js';
export type { FamilySpec } from './families/family.js';
export { FAMILIES } from './families/index.js';
export type { LinearKind } from './families/names.js';
export type { TrunkName } from './families/towers-spec.js';
export { type BrokenTensor, blameWeights, describeCounts, findBroken, requireFiniteTensors } from './finite.js';
export { columnsOfSlice, type GroupUnit, groupsOf, rowsOfSlice, type Span } from './groups.js';
export { type BlockGraphs, type BlockPart, blockGraphs, type Half, partGraph } from './halves.js';
export { gridOf, type ImageConfig, stageOf, tokensOf } from './image/config.js';
export type { Connector } from './image/connector.js';
export { type Normalisation, patchRows, patchRowsOfBytes } from './image/patches.js';
export { interpolatePositions } from './image/positions.js';
export { residualShape } from './image/shapes.js';
export { biasName, hasBias, linearOutput, movesStored, readLinear, toRows, toStored, weightName } from './linear.js';
export {
  type BlockSource,
  blockGraph,
  blockTensorNames,
  checkpointSource,
  connectorGraph,
  headGraph,
  headTensorNames,
  type Model,
  openConnector,
  openModel,
  openTrunk,
  poolGraph,
  refuseImages,
  resizeModel,
  stemGraph,
} from './model.js';
export {
  CUT_UNITS,
  type CutUnits,
  cutHalves,
  narrowBlock,
  readersOf,
  requireHeadDim,
  widthsAfter,
} from './narrow.js';
export {
  crossOf,
  type HeldValue,
  heldValues,
  PAIR_INPUTS,
  type PairOptions,
  pairGraph,
  pullOf,
  sumsOf,
  type TargetShares,
  writesAlone,
} from './pair.js';
export { mendConfig, mendingOf, placeOf, renumberTensor, reorderConfig, tensorAt } from './removal.js';
export { longestAlike, type Rope, ropeFactors } from './rope.js';
export { type BlockEnd, NORM_SUMS, SEAM_INPUTS, seamGraph } from './seam.js';
export { blockTensors, inPlace, type Linear, linearsOf, modelTensors, tensorNamesOf } from './tensor-names.js';
export { describeTensors, type ModelTensor } from './tensors.js';
export { linearUnits, unitOf } from './units.js';
export {
  endOf,
  memberInput,
  WIDE_INPUTS,
  WIDE_OUTPUTS,
  type WidePart,
  wideOutput,
  wideSums,
} from './wide.js';
export type { Widths } from './widths.js';
export { LISTED_CLASS, listed, plainSizes, requirePlainMlp, widthsConfig, withoutLists } from './widths-config.js';
