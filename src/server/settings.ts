// What a server is told when it starts, completed. The command line's numbers are checked before (api/serve.ts).

export type ServerSettings = {
  /** The model's name in /v1/models and in answers. */
  readonly name: string;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Needed by every request under /v1 where given. */
  readonly apiKey: string | undefined;
  /** Sequences that may wait. */
  readonly queue: number;
  /** Bytes of a request's body. */
  readonly bodyBytes: number;
  /** Seconds an answer may take, waiting included. */
  readonly timeout: number;
  /** Seconds that requests have to finish when the server is told to go. */
  readonly grace: number;
  /** Seed of the seeds of requests that bring none. */
  readonly seed: number;
};
