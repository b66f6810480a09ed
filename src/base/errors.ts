// The one family of errors. Every failure a user can meet has a stable `code`, the facts as fields, and a message
// that names what was expected, what came and the next step. `cause` keeps the original error.

export type Facts = Readonly<Record<string, unknown>>;

/** Base of every error Layerwise throws on purpose. `code` is stable and starts with the kind, as in `E_OPTION_…`. */
export class LayerwiseError extends Error {
  readonly code: string;
  readonly facts: Facts;

  constructor(code: string, message: string, facts: Facts = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.facts = facts;
  }
}

/** The user can mend it by calling differently; the command line exits with 2. `E_OPTION_…` */
export class OptionError extends LayerwiseError {}
/** A checkpoint, tokenizer, text or task file is not what it should be. `E_CHECKPOINT_…`, `E_TEXT_…`, `E_TASK_…` */
export class CheckpointError extends LayerwiseError {}
/** Shapes do not fit an operation. `E_SHAPE_…` */
export class ShapeError extends LayerwiseError {}
/** A family, operation, dtype or value we do not implement; the message names what is supported. `E_UNSUPPORTED_…` */
export class UnsupportedError extends LayerwiseError {}
/** Arithmetic that cannot go on: NaN, a matrix that is not positive definite. `E_NUMERIC_…` */
export class NumericError extends LayerwiseError {}
/** Memory, disk, permissions, a device lost. `E_RESOURCE_…` */
export class ResourceError extends LayerwiseError {}
/** The other end of a network: not there, refused, out of reach, or its answer is not what it should be. `E_REMOTE_…` */
export class RemoteError extends LayerwiseError {}
/** Our fault; please report. `E_INTERNAL_…` */
export class InternalError extends LayerwiseError {}

/** What an error says, whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
