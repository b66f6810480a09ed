export type { CommandSpec } from './command.js';
export { COMMANDS } from './commands/index.js';
export { OPTIONS, type OptionName, type OptionSpec } from './options.js';
