import { benchCommand } from './bench.js';
import { compareCommand } from './compare.js';
import { compressCommand } from './compress.js';
import { cutCommand } from './cut.js';
import { dropCommand } from './drop.js';
import { evaluateCommand } from './evaluate.js';
import { expertsCommand } from './experts.js';
import { exportCommand } from './export.js';
import { frontierCommand } from './frontier.js';
import { generateCommand } from './generate.js';
import { growCommand } from './grow.js';
import { healCommand } from './heal.js';
import { inspectCommand } from './inspect.js';
import { packCommand } from './pack.js';
import { planCommand } from './plan.js';
import { profileCommand } from './profile.js';
import { pruneCommand } from './prune.js';
import { pushCommand } from './push.js';
import { quantiseCommand } from './quantise.js';
import { reportCommand } from './report.js';
import { serveCommand } from './serve.js';
import { unlearnCommand } from './unlearn.js';
import { workerCommand } from './worker.js';

/** Every command, in the order of the help text. */
export const COMMANDS = [
  compressCommand,
  pruneCommand,
  quantiseCommand,
  compareCommand,
  frontierCommand,
  cutCommand,
  dropCommand,
  growCommand,
  expertsCommand,
  unlearnCommand,
  healCommand,
  packCommand,
  exportCommand,
  benchCommand,
  generateCommand,
  serveCommand,
  inspectCommand,
  profileCommand,
  planCommand,
  evaluateCommand,
  reportCommand,
  pushCommand,
  workerCommand,
] as const;
