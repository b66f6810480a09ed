import { prune } from 'layerwise';

const [checkpoint, calibration, validation, out] = process.argv.slice(2) as [string, string, string, string];
const { manifest } = await prune({
  checkpoint,
  sparsity: 0.6,
  calibration,
  validation,
  out,
  onProgress: (event) => event.kind === 'note' && console.error(event.text),
});
console.log(manifest.plan.units, manifest.chosen.validation?.perplexity);
