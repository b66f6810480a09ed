// Which programs load a checkpoint as it is, and in which form others do: what depends on whether its blocks are equally wide and
// have as many experts.

import { type ModelConfig, unevenExperts } from '../model/index.js';
import { CODE_FAMILIES } from './custom-code.js';
import { DECI_FAMILIES, GGUF_FAMILIES } from './gguf-model.js';
import { evenHeads } from './padded.js';

/** A form of a checkpoint: the option that writes it, and what loads it. */
export type Loads = { readonly form: string; readonly loads: string };

/** What loads a model that reads images, or a trunk of several: nothing else is made of it. */
function loadsAsIs({ uneven, widths, headDim, hidden, family, image }: ModelConfig): Loads {
  const form = 'as it is';
  if (uneven) return { form, loads: 'layerwise alone: others do not read layer_widths' };
  if (!image || widths.every(({ heads }) => heads * headDim === hidden))
    return { form, loads: 'whatever loads the family: transformers, layerwise' };
  return {
    form,
    loads: `layerwise, and programs that read head_dim of ${family}: transformers 5.24 does, versions that take it from hidden_size refuse the shapes`,
  };
}

/** One line for each form; what a form cannot hold is left out. */
export function loadsWhere(config: ModelConfig, trunk?: string): readonly Loads[] {
  const { family, uneven } = config;
  if (config.image || trunk !== undefined) return [loadsAsIs(config)];
  const packed = { form: 'pack', loads: 'layerwise, in Node and in a browser (.lw)' };
  if (unevenExperts(config)) {
    return [{ form: 'as it is', loads: 'layerwise alone: others do not read layer_experts' }, packed];
  }
  if (!uneven) {
    const gguf = GGUF_FAMILIES.includes(family)
      ? [{ form: 'export --to gguf', loads: 'llama.cpp, Ollama, LM Studio' }]
      : [];
    return [{ form: 'as it is', loads: 'whatever loads the family: transformers, vLLM, layerwise' }, packed, ...gguf];
  }
  return [
    { form: 'as it is', loads: 'layerwise alone: others do not read layer_widths' },
    packed,
    ...(DECI_FAMILIES.includes(family)
      ? [{ form: 'export --to gguf', loads: 'llama.cpp (its architecture deci), and what is built on it' }]
      : []),
    ...(CODE_FAMILIES.includes(family)
      ? [{ form: 'export --to hf --custom-code', loads: 'transformers, with trust_remote_code=True' }]
      : []),
    ...(evenHeads(config).fits
      ? [
          {
            form: 'export --to hf --padded',
            loads: 'whatever loads the family; every block is stored as wide as the widest',
          },
        ]
      : []),
  ];
}
