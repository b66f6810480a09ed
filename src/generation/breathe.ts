// A turn of the event loop, so that input, timers and the network are not kept waiting by work that answers at once. Pages
// have no setImmediate, and make timers wait for milliseconds; a message to oneself comes at once there.

export const breathe: () => Promise<void> = typeof setImmediate === 'function' ? turn : message;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What Node's types leave out. */
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
