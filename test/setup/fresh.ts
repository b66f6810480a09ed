// Worker threads, kernels, the command and pages run from dist/, whatever the tests import from src/. So a dist/ that other
// sources made would be tested in part, unseen: no test starts then.

import { fileURLToPath } from 'node:url';
import { changedSources } from '../../scripts/sources.mjs';

/** Why tests may not start, or undefined where dist/ is what src/ makes. */
export function staleness(root: string): string | undefined {
  const changed = changedSources(root);
  if (changed?.length === 0) return undefined;
  const [first, ...more] = changed ?? [];
  const what =
    first === undefined
      ? 'dist/ is not built'
      : `dist/ was built from other sources: ${first}${more.length === 0 ? '' : ` and ${more.length} more`} changed since`;
  return `${what}. Workers, kernels and the command run from there. Run: npm run build`;
}

export function setup(): void {
  const stale = staleness(fileURLToPath(new URL('../..', import.meta.url)));
  if (stale !== undefined) throw new Error(stale);
}
