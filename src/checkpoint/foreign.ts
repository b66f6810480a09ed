// Recognises what users have instead of model.safetensors, and names the next step for each: shards without their index,
// Mistral’s own layout, adapters, formats of other programs, Git LFS pointers, error pages; and quantised weights, by their
// tensors.

import { isLfsPointer } from '../base/portable.js';

/** What was found, and the next step. */
export type Foreign = { readonly got: string; readonly next: string };

const CONVERT = "or load it with transformers where it comes from and write it with save_pretrained('folder')";

type Kind = { readonly names: RegExp; readonly describe: (names: readonly string[]) => Foreign };

/** The first rule that matches a name decides: a folder with an adapter and a GGUF file counts as an adapter. */
const KINDS: readonly Kind[] = [
  { names: /^model-\d+-of-\d+\.safetensors$/i, describe: describeShards },
  {
    names: /^consolidated([.-]\d.*)?\.safetensors$/i,
    describe: (names) => ({
      got: `${list(names)}, whose tensors have Mistral's own names and layout`,
      next: 'download config.json and the model*.safetensors files of the same repository, or convert it with transformers (convert_mistral_weights_to_hf.py)',
    }),
  },
  {
    names: /^adapter_(model\.(safetensors|bin)|config\.json)$/i,
    describe: (names) => ({
      got: `${list(names)}, an adapter without the model that it changes`,
      next: 'merge it into its base with peft (merge_and_unload, then save_pretrained) and give the merged folder',
    }),
  },
  {
    names: /\.(bin|pt|pth|ckpt)$/i,
    describe: (names) => ({
      got: `${list(names)}, which Layerwise does not load (a pickle may run code)`,
      next: `download a revision with safetensors (on the Hub often refs/pr/1), ${CONVERT}`,
    }),
  },
  {
    names: /\.gguf$/i,
    describe: (names) => ({
      got: `${list(names)}, a llama.cpp file`,
      next: 'give the path of the .gguf file in place of the folder',
    }),
  },
  {
    names: /\.ggml$/i,
    describe: (names) => ({
      got: `${list(names)}, a file of an old llama.cpp`,
      next: 'start from the safetensors checkpoint that it was made from',
    }),
  },
  {
    names: /\.(onnx|onnx_data|onnx\.data)$/i,
    describe: (names) => ({
      got: `${list(names)}, an ONNX graph`,
      next: 'start from the safetensors checkpoint that it was exported from',
    }),
  },
  {
    names: /\.(h5|msgpack|npz|ot|tflite)$/i,
    describe: (names) => ({
      got: `${list(names)}, weights for TensorFlow, JAX or Rust`,
      next: `download the model*.safetensors files of the same repository, ${CONVERT}`,
    }),
  },
  {
    names: /\.safetensors$/i,
    describe: (names) => ({
      got: list(names),
      next:
        names.length === 1
          ? 'if it is the whole model in the Hugging Face layout, rename it to model.safetensors'
          : 'download the model again, with its index',
    }),
  },
];

const list = (names: readonly string[]): string =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');

/** What a folder has instead of safetensors weights, by its file names; undefined where it has no weights at all. */
export function describeForeign(names: readonly string[]): Foreign | undefined {
  for (const { names: pattern, describe } of KINDS) {
    const found = names.filter((name) => pattern.test(name)).sort();
    if (found.length > 0) return describe(found);
  }
  return undefined;
}

function describeShards(names: readonly string[]): Foreign {
  const counts = new Set(names.map((name) => Number(/-of-(\d+)\./.exec(name)![1])));
  const numbers = new Set(names.map((name) => Number(/^model-(\d+)-/.exec(name)![1])));
  const [count] = counts;
  const missing = Array.from({ length: count! }, (_, i) => i + 1).filter((number) => !numbers.has(number));
  const whole = counts.size === 1 && missing.length === 0;
  return {
    got: `${list(names)} without their index`,
    next: whole
      ? 'the index is missing: download model.safetensors.index.json from where the shards come from; save_pretrained writes it beside them'
      : 'the index and some of the shards are missing: download the model again, with model.safetensors.index.json',
  };
}

/** What a file is by its first bytes, where it is not a safetensors file. */
export function describeContent(start: Uint8Array): Foreign | undefined {
  const text = new TextDecoder('latin1').decode(start);
  const again = 'download it again';
  if (isLfsPointer(start)) return { got: 'a Git LFS pointer', next: 'run `git lfs pull`' };
  if (text.startsWith('GGUF')) {
    return { got: 'a GGUF file', next: 'give the path of the file in place of the folder' };
  }
  if (text.startsWith('PK\x03\x04') || (start[0] === 0x80 && start[1]! <= 5)) {
    return { got: 'a PyTorch pickle', next: 'export it as safetensors; renaming it is not enough' };
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return { got: 'a web page', next: again };
  if (/^\s*\{\s*"/.test(text)) return { got: 'JSON text', next: again };
  if (text.startsWith('\x1f\x8b')) return { got: 'a gzipped file', next: 'unpack it' };
  return undefined;
}

/** Endings of the names of quantised tensors, and which tool writes them. */
const QUANTISED: readonly (readonly [end: RegExp, method: string])[] = [
  [/\.(qweight|qzeros|g_idx)$/, 'GPTQ or AWQ'],
  [/\.(absmax|quant_map|nested_absmax|nested_quant_map)$|\.quant_state\./, 'bitsandbytes, 4 bits'],
  [/\.(SCB|weight_format)$/, 'bitsandbytes, 8 bits'],
  [/\.(weight_packed|weight_shape|weight_zero_point)$/, 'compressed-tensors'],
  [/\.(weight_scale|weight_scale_inv|input_scale)$/, 'FP8'],
  [/\.(q_weight|q_scale|q_perm|q_invperm)$/, 'EXL2'],
  [/\.(W_q|W_nbits|codebooks)$/, 'HQQ or AQLM'],
  [/\.scales$/, 'MLX or another'],
];

/** Which tool quantised a checkpoint, by its tensor names, and one of those names. */
export function findQuantised(
  names: Iterable<string>,
): { readonly tensor: string; readonly method: string } | undefined {
  for (const name of names) {
    const found = QUANTISED.find(([end]) => end.test(name));
    if (found) return { tensor: name, method: found[1] };
  }
  return undefined;
}
