// Who did the trials of a run that was handed out.

import { escapeHtml, type Html, note, section, table } from '../../page/index.js';
import type { WorkersRecord } from '../../records/index.js';
import { formatCount } from '../../words/index.js';

export function workersSection(record: WorkersRecord | undefined): Html {
  if (!record || record.workers.length === 0) return '';
  const rows = record.workers.map(({ worker, letters, seconds }) => ({
    head: escapeHtml(worker),
    cells: [formatCount(letters), seconds.toFixed(1)],
  }));
  return section(
    'workers',
    'Who did what',
    table('Trials by worker', ['worker', 'trials', 'seconds'], rows),
    note('From <code>workers.json</code>. Plan, numbers and weights do not depend on who did what.'),
  );
}
