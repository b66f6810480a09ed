// How rooms report progress. They call the callback; only the command line displays it.

export type ProgressUnit = 'block' | 'step' | 'model' | 'bytes' | 'window' | 'request' | 'generation' | 'kind' | 'file';

export type ProgressEvent =
  /**
   * A stage begins. `total` is the sum of its `advance` steps, where known, in blocks unless `unit` says otherwise.
   */
  | { readonly kind: 'stage'; readonly stage: string; readonly total?: number; readonly unit?: ProgressUnit }
  /** One step of the current stage is done, or `by` of its units. */
  | { readonly kind: 'advance'; readonly by?: number; readonly detail?: string }
  /** Something that deserves its own line: a trial's result, a warning. */
  | { readonly kind: 'note'; readonly text: string };

export type OnProgress = (event: ProgressEvent) => void;

/** A callback that ignores every event. */
export const silent: OnProgress = () => {};
