import { writeReport } from '../../api/index.js';
import { defineCommand } from '../command.js';

export const reportCommand = defineCommand({
  name: 'report',
  summary: 'Write report.html of a run again, from its record',
  argument: { name: 'run', text: 'directory that layerwise prune wrote' },
  options: ['out'],
  details: 'Reads `layerwise.json` and nothing else. Without --out the report is written into the run’s directory.',
  examples: [{ what: 'A report elsewhere', command: 'layerwise report ./my-model-70 --out /tmp/report.html' }],
  run: async (run, { out }) => {
    const { path } = await writeReport(run, out);
    return { json: { report: path }, text: path };
  },
});
