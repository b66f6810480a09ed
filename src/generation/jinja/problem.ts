// Why a template cannot be read or rendered. `unsupported` is what Jinja2 has and this code does not; a template that
// needs it is refused, since its text would be another one.

export type JinjaFault = 'syntax' | 'unsupported' | 'runtime';

export class JinjaError extends Error {
  readonly fault: JinjaFault;

  constructor(fault: JinjaFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** What Jinja2 too would raise while it renders. */
export const failure = (message: string): JinjaError => new JinjaError('runtime', message);

/** What Jinja2 has and this code does not. */
export const unsupported = (what: string): JinjaError => new JinjaError('unsupported', what);
