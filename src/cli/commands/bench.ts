import { bench } from '../../api/index.js';
import { formatBytes, formatPercent } from '../../words/index.js';
import { defineCommand } from '../command.js';
import { formatTable } from '../format.js';

export const benchCommand = defineCommand({
  name: 'bench',
  summary: 'Measure how fast a packed model decodes and reads prompts, against its dense twin',
  argument: { name: 'model', text: 'a .lw file, as layerwise pack writes it' },
  options: ['decoderDevice', 'threads', 'tokens', 'promptTokens', 'turns'],
  details:
    'The model and its dense twin (the same numbers, zeros included) take turns in one run; the median turn counts. Each token reads all weights once (of experts, only its own), so memory limits the speed: `bandwidthShare` is the bytes read per second divided by what the same threads read when they do nothing else (on a GPU: by what it copies). On a GPU the tokens are written greedily, as `generate --temperature 0` does, which does not wait for logits. Close other programs first: threads wait for each other about a thousand times a second.',
  examples: [{ what: 'Two threads', command: 'layerwise bench my-model-75.lw --threads 2 --json' }],
  run: async (model, { decoderDevice: device, ...values }, onProgress) => {
    const result = await bench({ model, ...values, ...(device === undefined ? {} : { device }), onProgress });
    const { bytes, bitsPerWeight, floorBitsPerWeight, sparsity } = result.model;
    const lines = result.decode.map((decode, i) => [
      `${decode.values} ${decode.layout}`,
      decode.tokensPerSecond.toFixed(1),
      formatBytes(decode.bytesPerToken),
      formatPercent(decode.bandwidthShare, 0),
      result.prefill[i]!.tokensPerSecond.toFixed(0),
    ]);
    const prompt = `prompt of ${result.prefill[0]!.tokens}, tokens/s`;
    const head = ['linears', 'tokens/s', 'read a token', 'of bandwidth', prompt];
    return {
      json: result,
      text: [
        `${model}: ${formatBytes(bytes)}, ${bitsPerWeight.toFixed(2)} bits a weight (floor ${floorBitsPerWeight.toFixed(2)}), ${formatPercent(sparsity, 1)} zeros`,
        device === 'webgpu'
          ? `the GPU; it copies ${result.bandwidthGBs.toFixed(1)} GB/s, read and written; ${result.dispatches} dispatches a token`
          : `${result.threads} threads; they read ${result.bandwidthGBs.toFixed(1)} GB/s`,
        '',
        formatTable([head, ...lines]),
      ].join('\n'),
    };
  },
});
