// How long work tells where it stands. Rooms call the callback; only the command line turns it into something to see.

export type ProgressUnit = 'block' | 'bytes' | 'window' | 'request';

export type ProgressEvent =
  /** A stage begins; `total` is what its `advance` steps will come to, where known, in blocks unless `unit` says otherwise. */
  | { readonly kind: 'stage'; readonly stage: string; readonly total?: number; readonly unit?: ProgressUnit }
  /** One step of the current stage is done, or `by` of its units. */
  | { readonly kind: 'advance'; readonly by?: number; readonly detail?: string }
  /** Something worth a line of its own: a trial's result, a warning. */
  | { readonly kind: 'note'; readonly text: string };

export type OnProgress = (event: ProgressEvent) => void;

/** The callback that listens to nothing. */
export const silent: OnProgress = () => {};
