import { push } from '../../api/index.js';
import { defineCommand } from '../command.js';

export const pushCommand = defineCommand({
  name: 'push',
  summary: 'Upload the checkpoint that a command wrote to the Hub, with a model card',
  argument: {
    name: 'run',
    text: 'directory that layerwise prune, quantise, cut, drop, experts, grow or unlearn wrote',
  },
  options: ['to', 'private'],
  required: ['to'],
  details:
    'Uploads every file of the directory in one commit, with a README.md made from `layerwise.json`: base model, licence and tags for the Hub, perplexities, sparsity and the command for people. The same commit removes weights in the repository that the directory does not have; the repository’s history keeps them. The token comes from HF_TOKEN or `hf auth login`.',
  examples: [
    { what: 'A pruned model, private', command: 'layerwise push ./my-model-70 --to me/my-model-70 --private' },
    { what: 'To an organisation', command: 'layerwise push ./my-model-70 --to my-org/my-model-70' },
  ],
  run: async (run, { to, private: hidden }, onProgress) => {
    const { url, commit } = await push({ run, repo: to!, private: hidden ?? false, onProgress });
    return { json: { url, commit }, text: `uploaded  ${url}` };
  },
});
