// The error classes. Every failure a user can meet has a stable `code`, its facts as fields, and a message that says
// what was expected, what was found and what to do next. `cause` keeps the original error.

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

/** The user can fix it by changing the call; the command line exits with 2. `E_OPTION_…` */
export class OptionError extends LayerwiseError {}
/** A checkpoint, tokenizer, text, image or task file is invalid. `E_CHECKPOINT_…`, `E_TEXT_…`, `E_IMAGE_…`, `E_TASK_…` */
export class CheckpointError extends LayerwiseError {}
/** Shapes do not fit an operation. `E_SHAPE_…` */
export class ShapeError extends LayerwiseError {}
/** A family, operation, dtype or value we do not implement; the message names what is supported. `E_UNSUPPORTED_…` */
export class UnsupportedError extends LayerwiseError {}
/** A computation cannot continue: NaN, or a matrix that is not positive definite. `E_NUMERIC_…` */
export class NumericError extends LayerwiseError {}
/** Memory, disk, permissions, or a lost device. `E_RESOURCE_…` */
export class ResourceError extends LayerwiseError {}
/** A remote server is absent or unreachable, refused the request, or gave an invalid answer. `E_REMOTE_…` */
export class RemoteError extends LayerwiseError {}
/** A bug in Layerwise; please report it. `E_INTERNAL_…` */
export class InternalError extends LayerwiseError {}

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
