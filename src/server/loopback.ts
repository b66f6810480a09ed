// Hosts that lead only to this machine.

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i;

export const isLoopback = (host: string): boolean => LOOPBACK.test(host);

/** The host of a Host header, without the port. */
export const hostOf = (header: string): string => header.replace(/:\d*$/, '');
