import { push } from '../../api/index.js';
import { defineCommand } from '../command.js';

export const pushCommand = defineCommand({
  name: 'push',
  summary: 'Upload what prune or drop wrote to the Hub, with a model card',
  argument: { name: 'run', text: 'directory that layerwise prune or layerwise drop wrote' },
  options: ['to', 'private'],
  required: ['to'],
  details:
    'Uploads every file of the directory in one commit, with a README.md made from `layerwise.json`: base model, licence and tags for the Hub, perplexities, sparsity and the command for people. Weights that are there already and not in the directory are removed by the same commit; the repository’s history keeps them. HF_TOKEN, or `hf auth login`, gives the token.',
  examples: [
    { what: 'A pruned model, for oneself', command: 'layerwise push ./my-model-70 --to me/my-model-70 --private' },
    { what: 'To an organisation', command: 'layerwise push ./my-model-70 --to my-org/my-model-70' },
  ],
  run: async (run, { to, private: hidden }, onProgress) => {
    const { url, commit } = await push({ run, repo: to!, private: hidden ?? false, onProgress });
    return { json: { url, commit }, text: `uploaded  ${url}` };
  },
});
