// Waits one turn of the event loop, so that input, timers and the network are not blocked by work that completes at once.
// Pages have no setImmediate, and their timers wait for milliseconds; a message to the page itself arrives at once.

export const breathe: () => Promise<void> = typeof setImmediate === 'function' ? turn : message;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What Node’s types lack. */
type Port = { onmessage: () => void; close(): void };

function message(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const port = port1 as unknown as Port;
    port.onmessage = () => {
      port.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
