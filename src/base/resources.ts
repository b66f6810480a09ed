// Scopes that close what they own, however the work ends. A scope closes its sessions, stores and files when its work
// has finished or failed: in reverse order of opening, each one even if closing another failed. An error of the work
// wins over errors of closing. (Node 20 has no syntax for `await using`.)

export type Resource = { close(): Promise<void> } | { release(): Promise<void> };

/**
 * Hands a resource to the scope. It also takes a promise, so a resource is closed even if nobody waits for it to open.
 */
export type Own = <T extends Resource>(resource: T | Promise<T>) => Promise<T>;

/** Runs `work`, then closes what it handed to the scope. */
export async function withResources<T>(work: (own: Own) => Promise<T>): Promise<T> {
  const owned: Promise<Resource>[] = [];
  const own: Own = (resource) => {
    const opening = Promise.resolve(resource);
    opening.catch(() => {}); // the caller of `own` gets the error
    owned.push(opening);
    return opening;
  };
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
  };
  let result: T | undefined;
  try {
    result = await work(own);
  } catch (error) {
    fail(error);
  }
  for (const opening of owned.reverse()) {
    const resource = await opening.catch(() => undefined);
    if (resource) await closeResource(resource).catch(fail);
  }
  if (failure) throw failure.error;
  return result as T;
}

const closeResource = (resource: Resource): Promise<void> =>
  'close' in resource ? resource.close() : resource.release();

/** Runs `work` on a resource that the caller will own afterwards. If `work` fails, the resource is closed. */
export async function handOver<R extends Resource | undefined, T>(
  resource: R,
  work: (resource: R) => Promise<T>,
): Promise<T> {
  try {
    return await work(resource);
  } catch (error) {
    if (resource) await closeResource(resource).catch(() => {}); // the first failure is the one that matters
    throw error;
  }
}

/** Waits for all promises and returns their results. If any failed, throws the error of the first that failed. */
export async function settleAll<T>(works: readonly Promise<T>[]): Promise<T[]> {
  let failure: { readonly error: unknown } | undefined;
  const settled = works.map((work) =>
    work.catch((error) => {
      failure ??= { error };
    }),
  );
  const results = await Promise.all(settled);
  if (failure) throw failure.error;
  return results as T[];
}

/**
 * A promise whose failure, and that of whatever is made of it, counts as seen. A library that starts several reads and
 * fails at one leaves the others to nobody, and Node ends a process for that.
 */
export function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  const follow: typeof promise.then = (done, failed) =>
    observed(Promise.prototype.then.call(promise, done, failed) as never);
  Object.defineProperty(promise, 'then', { value: follow });
  return promise;
}
