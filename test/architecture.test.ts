// The house, as code: who may import whom, who owns which dependency, how long a file may be. The table is that of
// docs/architecture.md, which is checked against it.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

/** A file imports its own room, and rooms on a strictly lower level through one of their doors. */
const LEVELS: Readonly<Record<string, number>> = {
  base: 0,
  search: 0,
  words: 0,
  page: 1,
  tensor: 1,
  records: 1,
  text: 1,
  images: 1,
  queue: 1,
  'solver-kernels': 1,
  layouts: 2,
  checkpoint: 2,
  graph: 2,
  plan: 2,
  report: 2,
  gguf: 3,
  gpu: 3,
  kernels: 3,
  packed: 3,
  model: 3,
  engine: 3,
  hub: 3,
  formats: 4,
  threads: 4,
  stream: 4,
  linalg: 4,
  decoder: 5,
  operators: 5,
  evaluate: 5,
  profile: 6,
  zeroshot: 6,
  train: 6,
  pipeline: 7,
  generation: 7,
  runs: 8,
  server: 8,
  compress: 9,
  api: 10,
  cli: 11,
};

/** The one room that may import a dependency. zod describes documents wherever they come in. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-node': ['engine'],
  webgpu: ['gpu'],
  '@huggingface/tokenizers': ['text'],
  '@huggingface/hub': ['hub'],
  hyparquet: ['text', 'images'],
  'hyparquet-compressors': ['text', 'images'],
  '@jsquash/jpeg': ['images'],
  '@jsquash/webp': ['images'],
  echarts: ['page'],
  commander: ['cli'],
  ora: ['cli'],
  zod: ['records', 'model', 'packed', 'server'],
  bullmq: ['queue'],
  ioredis: ['queue'],
  pg: ['queue'],
  '@aws-sdk/client-s3': ['queue'],
  hono: ['server'],
  '@hono/node-server': ['server'],
};

/** A room's door, and the one to what of it needs no Node. */
const DOORS = ['index.ts', 'portable.ts'];

const MAX_LINES = 500;

type Import = { readonly file: string; readonly target: string };

const walk = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(dir, entry.name)) : entry.name.endsWith('.ts') ? [join(dir, entry.name)] : [],
  );

const files = walk(src).map((path) => relative(src, path).replaceAll('\\', '/'));
const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(src, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, target]) => ({
    file,
    target: target!,
  })),
);
const roomOf = (file: string): string | undefined => (file.includes('/') ? file.split('/')[0]! : undefined);
/** The imported file, relative to src. */
const resolveLocal = ({ file, target }: Import): string =>
  normalize(join(dirname(file), target))
    .replaceAll('\\', '/')
    .replace(/\.js$/, '.ts')
    .replace(/\.as$/, '.as.ts');

const local = imports.filter(({ target }) => target.startsWith('.'));
const packages = imports.filter(({ target }) => /^[@a-z]/.test(target) && !target.startsWith('node:'));

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(50);
  expect(local.length).toBeGreaterThan(100);
});

test('every room has a level, and every level a room', () => {
  const rooms = new Set(files.map(roomOf).filter((room) => room !== undefined));
  expect([...rooms].sort()).toEqual(Object.keys(LEVELS).sort());
});

test('rooms import lower rooms only, through their doors', () => {
  const wrong = local.flatMap((one) => {
    const target = resolveLocal(one);
    const [from, to] = [roomOf(one.file), roomOf(target)];
    if (from === undefined || from === to || target === '../package.json') return [];
    const lower = to !== undefined && LEVELS[to]! < LEVELS[from]!;
    return lower && DOORS.some((door) => target === `${to}/${door}`) ? [] : [`${one.file} imports ${target}`];
  });
  expect(wrong).toEqual([]);
});

test('a level is one more than the highest level imported', () => {
  const natural = new Map(Object.keys(LEVELS).map((room) => [room, 0]));
  for (const one of local) {
    const [from, to] = [roomOf(one.file), roomOf(resolveLocal(one))];
    if (from === undefined || to === undefined || from === to || LEVELS[to] === undefined) continue;
    natural.set(from, Math.max(natural.get(from)!, LEVELS[to] + 1));
  }
  expect(Object.fromEntries(natural)).toEqual(LEVELS);
});

test('every import leads to a file', () => {
  expect(local.map(resolveLocal).filter((target) => !existsSync(join(src, target)))).toEqual([]);
});

test('no cycles inside a room', () => {
  const edges = new Map<string, string[]>();
  for (const one of local) edges.set(one.file, [...(edges.get(one.file) ?? []), resolveLocal(one)]);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (done.has(file) || path.includes(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

/** Arrows between the files of each room, its doors left out. */
function innerArrows(): ReadonlyMap<string, { readonly files: number; readonly arrows: number }> {
  const isDoor = (file: string): boolean => file.split('/').length === 2 && DOORS.includes(file.split('/')[1]!);
  const inside = files.filter((file) => roomOf(file) !== undefined && !isDoor(file) && !file.endsWith('.as.ts'));
  const pairs = new Set(
    local
      .map((one) => [one.file, resolveLocal(one)] as const)
      .filter(([from, to]) => roomOf(from) === roomOf(to) && inside.includes(from) && inside.includes(to))
      .map((pair) => pair.join(' ')),
  );
  const rooms = [...new Set(inside.map((file) => roomOf(file)!))];
  return new Map(
    rooms.map((room) => {
      const own = [...pairs].filter((pair) => pair.startsWith(`${room}/`));
      return [room, { files: inside.filter((file) => roomOf(file) === room).length, arrows: own.length }];
    }),
  );
}

// A room in which every file knows every other is no room. Of a small one a fifth of all pairs is soon reached: a dozen files
// in a row have a sixth of them. There the arrows of a file count.
test('no large room uses more than a fifth of its pairs, no small one more than 3.2 arrows a file', () => {
  const meshes = [...innerArrows()].filter(([, { files: n, arrows }]) =>
    n > 25 ? arrows > (n * (n - 1)) / 10 : arrows > 3.2 * n,
  );
  expect(meshes).toEqual([]);
});

test('a door only re-exports, and nothing by the dozen unseen', () => {
  const doors = files.filter((file) => file.split('/').length === 2 && DOORS.includes(file.split('/')[1]!));
  for (const door of [...doors, 'browser.ts']) {
    const text = readFileSync(join(src, door), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    expect(text.replaceAll(/export (?:type )?\{[^}]*\} from '[^']+';/g, '').trim(), door).toBe('');
  }
});

describe('what a page loads', () => {
  const textOf = (file: string): string => readFileSync(join(src, file), 'utf8');
  /** What a file still imports when its types are gone. */
  const importedBy = (file: string): string[] =>
    [
      ...textOf(file).matchAll(/^(?:import|export)\s(?!type\s)(?:[^';]*?\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/gm),
    ].map(([, target, dynamic]) => target ?? dynamic!);
  const reached = new Map<string, readonly string[]>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    const targets = importedBy(file);
    reached.set(file, targets);
    for (const target of targets) if (target.startsWith('.')) visit(resolveLocal({ file, target }));
  };
  visit('browser.ts');

  test('is there', () => {
    for (const file of ['packed/read.ts', 'packed/directory.ts', 'decoder/wasm/machine.ts', 'layouts/check.ts']) {
      expect([...reached.keys()]).toContain(file);
    }
  });

  test('is nothing of Node’s, and few packages', () => {
    const others = [...reached].flatMap(([file, targets]) =>
      targets.filter((target) => !target.startsWith('.')).map((target) => [target, file] as const),
    );
    expect(others.filter(([target]) => target.startsWith('node:'))).toEqual([]);
    expect([...new Set(others.map(([target]) => target))].sort()).toEqual(['@huggingface/tokenizers', 'zod']);
  });

  test('is described by types without Node’s, as they are built', () => {
    const seen = new Set<string>();
    const wrong: string[] = [];
    const look = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(join(root, 'dist', file), 'utf8');
      if (/\b(Buffer|NodeJS)\b|'node:/.test(text.replaceAll(/\/\*[\s\S]*?\*\//g, ''))) wrong.push(file);
      for (const [, target] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
        look(normalize(join(dirname(file), `${target}.d.ts`)));
      }
    };
    look('browser.d.ts');
    expect(seen.size).toBeGreaterThan(30);
    expect(wrong).toEqual([]);
  });

  test('names no global that only Node has', () => {
    const wrong = [...reached.keys()].filter((file) =>
      /\b(Buffer|process|require|__dirname|__filename)\b/.test(textOf(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')),
    );
    expect(wrong).toEqual([]);
  });
});

describe('dependencies', () => {
  const nameOf = (target: string): string =>
    target
      .split('/')
      .slice(0, target.startsWith('@') ? 2 : 1)
      .join('/');

  test('each has one owner', () => {
    const wrong = packages.flatMap(({ file, target }) =>
      OWNERS[nameOf(target)]?.includes(roomOf(file) ?? '') ? [] : [`${file} imports ${target}`],
    );
    expect(wrong).toEqual([]);
  });

  test('those in package.json are those that are used, and each is justified', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(
      readFileSync(join(root, 'package.json'), 'utf8'),
    ) as Record<'dependencies' | 'peerDependencies' | 'peerDependenciesMeta', Record<string, unknown>>;
    // Peers are what only some need: nobody has to install them.
    const peers = Object.keys(peerDependencies);
    expect(peerDependenciesMeta).toEqual(Object.fromEntries(peers.map((name) => [name, { optional: true }])));
    const all = [...Object.keys(dependencies), ...peers];
    expect(all.sort()).toEqual(Object.keys(OWNERS).sort());
    expect([...new Set(packages.map(({ target }) => nameOf(target)))].sort()).toEqual(Object.keys(OWNERS).sort());
    const page = readFileSync(join(root, 'docs/reference/dependencies.md'), 'utf8');
    for (const name of all) expect(page, name).toContain(name);
  });
});

test('files are short', () => {
  const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > MAX_LINES);
  expect(long).toEqual([]);
});

test('names are kebab-case', () => {
  expect(files.filter((file) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.as)?\.ts$/.test(file))).toEqual([]);
});

test('docs/architecture.md has the same table', () => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| *(\d+) *\| *`([a-z-]+)` *\|/gm)].map(([, level, room]) => [room, Number(level)]);
  expect(Object.fromEntries(rows)).toEqual(LEVELS);
});
