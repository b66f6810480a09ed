// The code with which transformers loads a checkpoint whose blocks have unequal widths: `auto_map` in config.json names a class
// in modeling_layerwise.py, which makes each block from a config of its own.

import { UnsupportedError } from '../base/index.js';
import { amendConfig, LISTED_CLASS, listed, type ModelConfig, withoutLists } from '../model/index.js';

export const CODE_FILE = 'modeling_layerwise.py';

/** The classes of transformers whose blocks are `type(block)(config, number)`, and read every width from the config. */
const CLASSES: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
};

/** The families that it is written for. */
export const CODE_FAMILIES: readonly string[] = Object.keys(CLASSES);

/**
 * The texts of config.json and of the module that its `auto_map` names. `config` is the text of the checkpoint's.
 * @throws UnsupportedError E_UNSUPPORTED_EXPORT for other families
 */
export function customCode(
  { family, stated, headDim, widths }: ModelConfig,
  config: string,
): { readonly config: string; readonly code: string } {
  const base = CLASSES[family];
  if (!base) {
    const message = `${family}: code for transformers is written for ${CODE_FAMILIES.join(', ')}. Pack it as a .lw file, or use --padded.`;
    throw new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { family, expected: CODE_FAMILIES });
  }
  const name = `${LISTED_CLASS}${base}`;
  const plain = withoutLists(JSON.parse(config), 'layer_widths');
  const values = {
    ...plain.values,
    architectures: [name],
    auto_map: { AutoModelForCausalLM: `${CODE_FILE.slice(0, -'.py'.length)}.${name}` },
    num_attention_heads: stated.heads,
    num_key_value_heads: stated.kvHeads,
    intermediate_size: stated.intermediate,
    head_dim: headDim,
    layer_widths: listed(widths),
  };
  return { config: amendConfig(config, { values, remove: plain.remove }), code: codeOf(base, name) };
}

const codeOf = (
  base: string,
  name: string,
): string => `"""A model whose blocks have unequal widths, written by Layerwise.

config.json's layer_widths has [heads, key-value heads, width of the MLP] for each block.
"""

import copy

from transformers import ${base}


class ${name}(${base}):
    def __init__(self, config):
        super().__init__(config)
        layers = self.model.layers
        for i, (heads, kv_heads, intermediate) in enumerate(config.layer_widths):
            own = copy.deepcopy(config)
            own.num_attention_heads = heads
            own.num_key_value_heads = kv_heads
            own.intermediate_size = intermediate
            layers[i] = type(layers[i])(own, i)
        self.post_init()
`;
