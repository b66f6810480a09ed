export type { CommandSpec } from './command.js';
export { COMMANDS } from './commands/index.js';
export { pruneOptions } from './commands/prune.js';
export { OPTIONS, type OptionName, type OptionSpec } from './options.js';
export { parseCall } from './parser.js';
