// What is open is closed, however the work ends. A scope owns what it is handed, a session, a store, a file, and closes all of
// it when its work is done or has failed: the last opened first, each whatever became of the others. The error is then the
// work's own; one of closing counts only where nothing failed before. (Of `await using` Node 20 has no syntax.)

export type Resource = { close(): Promise<void> } | { release(): Promise<void> };

/** Hands a resource to the scope; one that is still being opened too, so that it is closed even if nobody waits for it. */
export type Own = <T extends Resource>(resource: T | Promise<T>) => Promise<T>;

/** Does `work`, and closes what it owned. */
export async function withResources<T>(work: (own: Own) => Promise<T>): Promise<T> {
  const owned: Promise<Resource>[] = [];
  const own: Own = (resource) => {
    const opening = Promise.resolve(resource);
    opening.catch(() => {}); // who asked for it is told
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

/** Does `work` on a resource that the caller is to own afterwards: where it fails, the resource is closed. */
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

/** The results of all, once none is under way any more; where some failed, the error of the one that failed first. */
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
