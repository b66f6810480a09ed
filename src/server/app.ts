// The routes. The work is in completions.ts, chat.ts and the room generation.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { requireModel } from './ask.js';
import { answerChat } from './chat.js';
import { answerCompletion } from './completions.js';
import type { ServerContext } from './context.js';
import { hostOf, isLoopback } from './loopback.js';
import { PAGE_POLICY, renderPage } from './page.js';
import { ClientGoneError, describeProblem, RefusedError } from './problems.js';
import { discardRest, receiveText } from './receive.js';

/** Hono's context with Node's request. */
type Call = Context<{ Bindings: HttpBindings }>;

export function createApp(context: ServerContext): Hono<{ Bindings: HttpBindings }> {
  const { settings, metrics, scheduler, model } = context;
  const app = new Hono<{ Bindings: HttpBindings }>();

  const fail = (c: Call, error: unknown): Response => {
    // After the client has gone, every failure (above all of reading the body) is a consequence of that.
    const { status, error: told } = describeProblem(c.req.raw.signal.aborted ? new ClientGoneError() : error);
    if (status === 429) c.header('retry-after', '1');
    return c.json({ error: told }, status as ContentfulStatusCode);
  };
  app.onError((error, c) => fail(c, error));
  app.notFound((c) =>
    fail(c, new RefusedError(`There is no ${c.req.method} ${c.req.path} here.`, { status: 404, word: 'not_found' })),
  );

  app.use(async (c, next) => {
    await next();
    const route = ROUTES.has(c.req.path) ? c.req.path : 'other';
    metrics.requests.add(1, { route, status: c.res.status });
    c.header('x-content-type-options', 'nosniff');
    const isWhole = c.req.method === 'GET' || c.req.method === 'HEAD' || (await discardRest(c.env.incoming));
    if (context.draining || !isWhole) c.header('connection', 'close');
  });

  // A page of another site whose name was pointed at this machine (DNS rebinding) would have the same origin as ours.
  if (isLoopback(settings.host) && settings.apiKey === undefined) {
    app.use(async (c, next) => {
      const host = hostOf(c.req.header('host') ?? '');
      if (!isLoopback(host)) {
        const message = `This server answers for localhost, 127.0.0.1 and [::1], but the request was for ${JSON.stringify(host)}. Start it with --api-key to allow other names.`;
        throw new RefusedError(message, { status: 403, word: 'host_not_allowed' });
      }
      await next();
    });
  }

  app.use('/v1/*', async (c, next) => {
    if (settings.apiKey !== undefined && !isKey(c.req.header('authorization'), settings.apiKey)) {
      const message = 'Expected the header Authorization: Bearer <key> with the key of this server.';
      throw new RefusedError(message, { status: 401, word: 'invalid_api_key' });
    }
    await next();
  });

  const readBody = async (c: Call): Promise<string> => {
    // A page of another site cannot send JSON here without a preflight request, and no answer allows it.
    if (!/^application\/json\s*(;|$)/i.test(c.req.header('content-type') ?? '')) {
      throw new RefusedError('Expected a body with content-type: application/json.', { status: 415 });
    }
    return receiveText(c.env.incoming, settings.bodyBytes);
  };
  app.post('/v1/completions', async (c) => answerCompletion(context, await readBody(c), c.req.raw.signal));
  app.post('/v1/chat/completions', async (c) => answerChat(context, await readBody(c), c.req.raw.signal));

  const card = {
    ...{ id: settings.name, object: 'model', created: context.created, owned_by: 'layerwise' },
    max_model_len: model.info.maxPositions,
  };
  app.get('/v1/models', (c) => c.json({ object: 'list', data: [card] }));
  app.get('/v1/models/:id{.+}', (c) => {
    requireModel(context, c.req.param('id'));
    return c.json(card);
  });

  app.get('/health', (c) => {
    if (context.draining) return c.json({ status: 'shutting down' }, 503);
    if (scheduler.state.failure !== undefined) return c.json({ status: 'the last step failed' }, 503);
    return c.json({ status: 'ok' });
  });
  app.get('/metrics', (c) => {
    c.header('content-type', 'text/plain; version=0.0.4; charset=utf-8');
    return c.body(metrics.registry.render());
  });
  app.get('/', (c) => {
    c.header('content-security-policy', PAGE_POLICY);
    const { maxPositions } = model.info;
    return c.html(renderPage({ name: settings.name, chat: model.chatTemplate !== undefined, maxPositions }));
  });
  return app;
}

/** Paths that metrics name; all others count as one. */
const ROUTES = new Set(['/', '/health', '/metrics', '/v1/completions', '/v1/chat/completions', '/v1/models']);

/** Compares in a time that does not depend on where the two differ. */
function isKey(header: string | undefined, key: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const given = /^Bearer (.*)$/i.exec(header ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(key));
}
