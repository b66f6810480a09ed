// A packed model's decoder on the GPU of this machine, in Node.

import { openGpuInNode } from '../../gpu/index.js';
import type { PackedModel } from '../../packed/index.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from '../build.js';
import { createWebgpuBackend } from './backend.js';

/**
 * Reads a packed model's weights to the GPU. The model may be closed afterwards.
 * @throws ResourceError E_RESOURCE_DEVICE, E_RESOURCE_MEMORY; OptionError E_OPTION_POSITIONS; CheckpointError, UnsupportedError
 */
export const openGpuDecoder = (packed: PackedModel, options: SequenceOptions = {}): Promise<OpenDecoder> =>
  buildDecoder(
    packed,
    options,
    createWebgpuBackend(() => openGpuInNode()),
  );
