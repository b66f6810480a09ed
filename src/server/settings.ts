// The settings of a server, complete. api/serve.ts checks the numbers of the command line before.

export type ServerSettings = {
  /** The model's name in /v1/models and in answers. */
  readonly name: string;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** If set, every request under /v1 needs it. */
  readonly apiKey: string | undefined;
  /** Most sequences that may wait. */
  readonly queue: number;
  /** Most bytes of a request’s body. */
  readonly bodyBytes: number;
  /** Seconds an answer may take, waiting included. */
  readonly timeout: number;
  /** Seconds that requests have to finish when the server stops. */
  readonly grace: number;
  /** The seed from which requests without a seed get theirs. */
  readonly seed: number;
};
