export type { CommandSpec, Output } from './command.js';
export { COMMANDS } from './commands/index.js';
export { OPTIONS, type OptionName, type OptionSpec } from './options.js';
export { run } from './run.js';
