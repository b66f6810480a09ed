export type { CommandSpec } from './command.js';
export { compressOptions } from './commands/compress.js';
export { COMMANDS } from './commands/index.js';
export { pruneOptions } from './commands/prune.js';
export { quantiseOptions } from './commands/quantise.js';
export { OPTIONS, type OptionName, type OptionSpec } from './options.js';
export { createParser, parseCall } from './parser.js';
export { TOPICS, type Topic } from './topics.js';
export { breakCommand, WIDEST } from './wrap.js';
