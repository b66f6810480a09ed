import { OptionError } from '../base/index.js';
import { alphapruning } from './alphapruning.js';
import { als } from './als.js';
import { atp } from './atp.js';
import { dlp } from './dlp.js';
import { dsa } from './dsa.js';
import { ecoflap } from './ecoflap.js';
import { er } from './er.js';
import { erPlus } from './er-plus.js';
import { evo } from './evo.js';
import { global } from './global.js';
import { lamp } from './lamp.js';
import { layerwise } from './layerwise.js';
import { log } from './log.js';
import { lsa, lsaProjection } from './lsa.js';
import { neuronal } from './neuronal.js';
import { owl } from './owl.js';
import type { AllocationPolicy } from './policy.js';
import { uniform } from './uniform.js';

/** Every allocation policy, by name. */
export const POLICIES: ReadonlyMap<string, AllocationPolicy> = new Map(
  [
    uniform,
    atp,
    log,
    layerwise,
    evo,
    owl,
    alphapruning,
    dlp,
    dsa,
    als,
    ecoflap,
    neuronal,
    lsa,
    lsaProjection,
    global,
    lamp,
    er,
    erPlus,
  ].map((policy) => [policy.name, policy]),
);

/** @throws OptionError E_OPTION_ALLOCATION, with the known names. */
export function findPolicy(name: string): AllocationPolicy {
  const policy = POLICIES.get(name);
  if (!policy) {
    const known = [...POLICIES.keys()].join(', ');
    throw new OptionError(
      'E_OPTION_ALLOCATION',
      `--allocation: expected one of ${known}, got ${JSON.stringify(name)}.`,
      {
        option: 'allocation',
        got: name,
      },
    );
  }
  return policy;
}
