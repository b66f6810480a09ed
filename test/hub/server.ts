// A Hub of one's own, on two local ports: the API, and the "CDN" that large files are redirected to and uploaded to, which
// is another origin. It speaks the protocol that the Hub documents and its Python library expects (python.test.ts lets that
// library judge it), remembers every request, and can be told to fail: cut, stall, damage, refuse, lie.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Files = Readonly<Record<string, string | Uint8Array>>;

export type FakeRepo = {
  readonly type: 'models' | 'datasets';
  readonly name: string;
  private: boolean;
  /** Only who sends a token among `readers` may read. */
  gated: boolean;
  /** Files by commit, and the commits of branches. */
  readonly commits: Map<string, Map<string, Buffer>>;
  readonly refs: Map<string, string>;
};

/** Something that goes wrong, `times` times, with requests whose `METHOD path` matches. */
export type Fault = {
  readonly match: RegExp;
  readonly where?: 'hub' | 'cdn';
  times: number;
  readonly does:
    | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
    | { readonly kind: 'cut' | 'stall'; readonly after: number }
    | { readonly kind: 'damage' }
    | { readonly kind: 'longer' }
    | { readonly kind: 'ignore-range' }
    | { readonly kind: 'redirect'; readonly to: string }
    | {
        readonly kind: 'answer';
        readonly body: string | Uint8Array;
        readonly headers?: Readonly<Record<string, string>>;
      };
};

export type Seen = {
  readonly where: 'hub' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
};

export type FakeHub = {
  readonly endpoint: string;
  readonly cdn: string;
  readonly requests: Seen[];
  readonly faults: Fault[];
  /** Tokens and whose they are. */
  readonly users: Map<string, { readonly name: string; readonly orgs?: readonly unknown[]; readonly role?: string }>;
  readonly repos: Map<string, FakeRepo>;
  /** Bytes from which on files are "large": in LFS, on the CDN. */
  large: number;
  /** Entries of a listing in one answer. */
  page: number;
  /** Bytes of a part in an upload; 0: uploads go whole. */
  part: number;
  /** Adds a commit to a branch; returns its hash. */
  put(repo: string, files: Files, options?: { readonly ref?: string; readonly type?: FakeRepo['type'] }): string;
  /** What a branch holds. */
  files(repo: string, ref?: string): Map<string, Buffer>;
  close(): Promise<void>;
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export async function startHub(): Promise<FakeHub> {
  const lfs = new Map<string, Buffer>();
  const parts = new Map<string, Map<number, Buffer>>();
  const requests: Seen[] = [];
  const faults: Fault[] = [];
  const sockets = new Set<import('node:net').Socket>();
  const listen = (where: Seen['where']): Promise<Server> => {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const seen: Seen = {
          where,
          method: request.method ?? '',
          path: decodeURIComponent(request.url ?? ''),
          headers: request.headers,
          body: Buffer.concat(chunks),
        };
        requests.push(seen);
        const fault = faults.find(
          (one) => one.times > 0 && (one.where ?? where) === where && one.match.test(`${seen.method} ${seen.path}`),
        );
        if (fault) fault.times--;
        answer(seen, response, fault);
      });
    });
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
  };
  const [api, store] = [await listen('hub'), await listen('cdn')];
  const originOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const hub: FakeHub = {
    endpoint: originOf(api),
    cdn: originOf(store),
    requests,
    faults,
    users: new Map(),
    repos: new Map(),
    large: 1000,
    page: 1000,
    part: 0,
    put: (name, files, { ref = 'main', type = 'models' } = {}) => {
      const repo = hub.repos.get(name) ?? {
        type,
        name,
        private: false,
        gated: false,
        commits: new Map(),
        refs: new Map(),
      };
      hub.repos.set(name, repo);
      const before = repo.commits.get(repo.refs.get(ref) ?? '') ?? new Map<string, Buffer>();
      return commit(
        repo,
        ref,
        new Map([...before, ...Object.entries(files).map(([p, d]) => [p, Buffer.from(d as string)] as const)]),
      );
    },
    files: (name, ref = 'main') => {
      const repo = hub.repos.get(name)!;
      return repo.commits.get(repo.refs.get(ref)!)!;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([api, store].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };

  function commit(repo: FakeRepo, ref: string, files: Map<string, Buffer>): string {
    const hash = createHash('sha1').update(`${repo.name} ${repo.commits.size}`);
    for (const [path, data] of files) hash.update(path).update(data);
    const id = hash.digest('hex');
    repo.commits.set(id, files);
    repo.refs.set(ref, id);
    return id;
  }

  const isLarge = (data: Buffer): boolean => data.length >= hub.large;

  function answer(seen: Seen, response: ServerResponse, fault: Fault | undefined): unknown {
    const does = fault?.does;
    if (does?.kind === 'status') return void response.writeHead(does.status, does.headers).end('{"error":"as told"}');
    if (does?.kind === 'redirect') return void response.writeHead(302, { location: does.to }).end();
    if (does?.kind === 'answer') {
      return void response.writeHead(200, { 'content-type': 'application/json', ...does.headers }).end(does.body);
    }
    const handle = seen.where === 'hub' ? answerApi : answerStore;
    try {
      handle(seen, response, fault);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  }

  const json = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void =>
    void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  const refuse = (response: ServerResponse, status: number, code: string, message: string): void =>
    void response
      .writeHead(status, { 'x-error-code': code, 'x-error-message': message, 'content-type': 'application/json' })
      .end(JSON.stringify({ error: message }));
  const tokenOf = ({ headers }: Seen): string | undefined => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];

  function answerApi(seen: Seen, response: ServerResponse, fault: Fault | undefined): unknown {
    const { pathname: path, searchParams } = new URL(seen.path, hub.endpoint);
    const token = tokenOf(seen);
    const user = token === undefined ? undefined : hub.users.get(token);
    if (path === '/api/whoami-v2') {
      if (!user) return refuse(response, 401, '', 'Invalid username or password.');
      return json(response, {
        type: 'user',
        id: 'u1',
        name: user.name,
        fullname: user.name,
        orgs: user.orgs ?? [],
        auth: { type: 'access_token', accessToken: { displayName: 't', role: user.role ?? 'write' } },
      });
    }
    if (path === '/api/validate-yaml') return json(response, { errors: [], warnings: [] });
    if (path === '/api/repos/create') {
      if (!user) return refuse(response, 401, '', 'Invalid username or password.');
      const { name, organization, visibility } = JSON.parse(seen.body.toString()) as Record<string, string>;
      const full = `${organization}/${name}`;
      if (hub.repos.has(full)) return refuse(response, 409, '', 'You already created this model repo');
      const repo: FakeRepo = {
        type: 'models',
        name: full,
        private: visibility === 'private',
        gated: false,
        commits: new Map(),
        refs: new Map(),
      };
      hub.repos.set(full, repo);
      commit(repo, 'main', new Map([['.gitattributes', Buffer.from('*.safetensors filter=lfs\n')]]));
      return json(response, { url: `${hub.endpoint}/${full}`, id: full });
    }
    const batch = /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/.exec(path);
    const call = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree|paths-info|preupload|commit)\/(.+)$/.exec(
      path,
    );
    const resolve =
      /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([0-9a-f]{40}|refs\/[^/]+\/[^/]+|[^/]+)\/(.+)$/.exec(path) ??
      /^\/api\/resolve-cache\/models\/(datasets\/)?([^/]+\/[^/]+)\/([0-9a-f]{40})\/(.+)$/.exec(path);
    const name = batch?.[1] ?? call?.[2] ?? resolve?.[2];
    const type = call?.[1] ?? (resolve?.[1] ? 'datasets' : 'models');
    const repo = name === undefined ? undefined : hub.repos.get(name);
    if (!repo || repo.type !== type || (repo.private && !user)) {
      return refuse(response, token ? 404 : 401, 'RepoNotFound', 'Repository not found');
    }
    if (repo.gated && !user && !call?.[0].includes('/revision/')) {
      return refuse(response, token ? 403 : 401, 'GatedRepo', `Access to model ${name} is restricted.`);
    }
    if (batch) return answerBatch(seen, response);
    const rest = call ? call[4]! : resolve![3]!;
    const ref = [...repo.refs.keys(), ...repo.commits.keys()].find((one) => rest === one || rest.startsWith(`${one}/`));
    const id = ref === undefined ? undefined : (repo.refs.get(ref) ?? ref);
    if (ref === undefined || id === undefined)
      return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${rest}`);
    const files = repo.commits.get(id)!;
    if (resolve) return answerResolve(response, seen, files.get(resolve[4]!), id, fault);
    const entry = (file: string) => {
      const data = files.get(file)!;
      const large = { oid: sha256(data), size: data.length, pointerSize: 130 };
      return {
        type: 'file',
        path: file,
        size: data.length,
        oid: gitSha1(data),
        ...(isLarge(data) ? { lfs: large } : {}),
      };
    };
    switch (call![3]) {
      case 'revision':
        return json(response, {
          _id: 'x',
          id: name,
          modelId: name,
          sha: id,
          private: repo.private,
          gated: repo.gated ? 'auto' : false,
          lastModified: '2026-01-01T00:00:00.000Z',
          tags: [],
          downloads: 0,
          likes: 0,
          siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
        });
      case 'tree': {
        const recursive = /^true$/i.test(searchParams.get('recursive') ?? '');
        const all = [...files.keys()].filter((file) => recursive || !file.includes('/')).map(entry);
        const from = Number(searchParams.get('cursor') ?? 0);
        const url = `${hub.endpoint}${path}?recursive=${recursive}&cursor=${from + hub.page}`;
        const more = from + hub.page < all.length;
        return json(response, all.slice(from, from + hub.page), more ? { link: `<${url}>; rel="next"` } : {});
      }
      case 'paths-info': {
        const { paths } = JSON.parse(seen.body.toString()) as { paths: string[] };
        return json(response, paths.filter((file) => files.has(file)).map(entry));
      }
      case 'preupload': {
        const { files: asked } = JSON.parse(seen.body.toString()) as { files: { path: string; size: number }[] };
        return json(response, {
          files: asked.map(({ path: file, size }) => ({
            path: file,
            uploadMode: size >= hub.large ? 'lfs' : 'regular',
            shouldIgnore: false,
          })),
        });
      }
      default:
        if (!user) return refuse(response, 401, '', 'Invalid username or password.');
        return answerCommit(response, seen, repo, ref);
    }
  }

  function answerResolve(
    response: ServerResponse,
    seen: Seen,
    data: Buffer | undefined,
    id: string,
    fault: Fault | undefined,
  ): unknown {
    if (!data) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    response.setHeader('x-repo-commit', id);
    response.setHeader('accept-ranges', 'bytes');
    if (!isLarge(data)) {
      // The Hub sends readers of small files on to a cache of its own, by an address without a host.
      const cached = seen.path.replace(
        /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/[^/]+/,
        `/api/resolve-cache/models/$1$2/${id}`,
      );
      if (seen.method === 'GET' && seen.path.includes('/resolve/')) {
        return response.writeHead(307, { location: encodeURI(cached) }).end();
      }
      response.setHeader('etag', `"${gitSha1(data)}"`);
      return send(response, seen, data, fault);
    }
    lfs.set(sha256(data), data);
    response
      .writeHead(302, {
        location: `${hub.cdn}/lfs/${sha256(data)}?signed=1`,
        'x-linked-size': `${data.length}`,
        'x-linked-etag': `"${sha256(data)}"`,
        'content-length': '0',
      })
      .end();
  }

  function answerStore(seen: Seen, response: ServerResponse, fault: Fault | undefined): unknown {
    const { pathname, searchParams } = new URL(seen.path, hub.cdn);
    const oid = pathname.split('/').at(-1)!;
    if (seen.method === 'PUT') {
      const part = searchParams.get('part');
      if (part !== null) {
        const some = parts.get(oid) ?? new Map<number, Buffer>();
        parts.set(oid, some.set(Number(part), seen.body));
        return void response.writeHead(200, { etag: `"part-${part}"` }).end();
      }
      if (sha256(seen.body) !== oid) return void response.writeHead(400).end('digest');
      lfs.set(oid, seen.body);
      return void response.writeHead(200).end();
    }
    if (seen.method === 'POST') {
      const some = parts.get(oid)!;
      const data = Buffer.concat([...some].sort(([a], [b]) => a - b).map(([, one]) => one));
      if (sha256(data) !== oid) return void response.writeHead(400).end('digest');
      lfs.set(oid, data);
      return json(response, {});
    }
    const data = lfs.get(oid);
    if (!data) return void response.writeHead(404).end();
    send(response, seen, data, fault);
  }

  function answerBatch(seen: Seen, response: ServerResponse): unknown {
    const { objects } = JSON.parse(seen.body.toString()) as { objects: { oid: string; size: number }[] };
    return json(response, {
      transfer: hub.part > 0 ? 'multipart' : 'basic',
      objects: objects.map(({ oid, size }) => {
        if (lfs.has(oid)) return { oid, size };
        const href = `${hub.cdn}/lfs/${oid}`;
        if (hub.part === 0) return { oid, size, actions: { upload: { href } } };
        const numbers = Array.from({ length: Math.ceil(size / hub.part) }, (_, i) => i + 1);
        const urls = numbers.map((n) => [String(n).padStart(5, '0'), `${href}?part=${n}`]);
        return {
          oid,
          size,
          actions: { upload: { href, header: { chunk_size: `${hub.part}`, ...Object.fromEntries(urls) } } },
        };
      }),
    });
  }

  function answerCommit(response: ServerResponse, seen: Seen, repo: FakeRepo, ref: string): unknown {
    const files = new Map(repo.commits.get(repo.refs.get(ref)!)!);
    for (const line of seen.body.toString().trim().split('\n')) {
      const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
      if (key === 'file') files.set(value.path!, Buffer.from(value.content!, 'base64'));
      else if (key === 'lfsFile') {
        const data = lfs.get(value.oid!);
        if (!data) return refuse(response, 400, '', `No such object ${value.oid}`);
        files.set(value.path!, data);
      } else if (key === 'deletedFile') files.delete(value.path!);
    }
    const id = commit(repo, ref, files);
    json(response, {
      success: true,
      commitOid: id,
      commitUrl: `${hub.endpoint}/${repo.name}/commit/${id}`,
      hookOutput: '',
    });
  }

  function send(response: ServerResponse, seen: Seen, whole: Buffer, fault: Fault | undefined): unknown {
    const does = fault?.does;
    const range = /^bytes=(\d+)-(\d*)$/.exec(seen.headers.range ?? '');
    const from = range && does?.kind !== 'ignore-range' ? Number(range[1]) : 0;
    if (from > 0 && from >= whole.length)
      return void response.writeHead(416, { 'content-range': `bytes */${whole.length}` }).end();
    const to = range?.[2] ? Number(range[2]) + 1 : whole.length;
    let data = whole.subarray(from, to);
    if (does?.kind === 'damage') data = Buffer.from(data).fill(0x2a, 0, 1);
    if (does?.kind === 'longer') data = Buffer.concat([data, Buffer.alloc(10)]);
    const partial = range && does?.kind !== 'ignore-range';
    response.writeHead(partial ? 206 : 200, {
      'content-length': `${data.length}`,
      ...(partial ? { 'content-range': `bytes ${from}-${to - 1}/${whole.length}` } : {}),
    });
    if (seen.method === 'HEAD') return void response.end();
    if (does?.kind === 'cut' || does?.kind === 'stall') {
      response.write(data.subarray(0, does.after), () => {
        if (does.kind === 'cut') setTimeout(() => response.destroy(), 20);
      });
      return;
    }
    response.end(data);
  }

  return hub;
}
