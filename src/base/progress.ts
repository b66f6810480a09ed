// How long work tells where it stands. Rooms call the callback; only the command line turns it into something to see.

export type ProgressEvent =
  /** A stage begins; `total` is the number of `advance` steps it will make, where known. */
  | { readonly kind: 'stage'; readonly stage: string; readonly total?: number }
  /** One step of the current stage is done. */
  | { readonly kind: 'advance'; readonly detail?: string }
  /** Something worth a line of its own: a trial's result, a warning. */
  | { readonly kind: 'note'; readonly text: string };

export type OnProgress = (event: ProgressEvent) => void;

/** The callback that listens to nothing. */
export const silent: OnProgress = () => {};
