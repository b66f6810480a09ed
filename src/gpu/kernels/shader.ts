// What every shader has in common: its bindings, the parameters of a dispatch, and sums over a workgroup. A kernel is a
// function from a shape to WGSL, so places inside are constants and the compiler unrolls.
//   W  weights as they lie in the file (a shard)
//   A  the arena: activations, quantised activations, tables, vectors of norms and biases, the rows of a step
//   C  the cache of keys and values of a block
//   p  this dispatch's places, in numbers of four bytes

/** What every dispatch has once. */
const COMMON = [
  ...['a', 'as', 'count', 'expert', 'ids', 'picks', 'positions', 'places', 'sequences', 'cos', 'sin'],
  ...['packed', 'wide', 'turned', 'packedStride', 'wideStride', 'scales'],
] as const;
/** What each of several tensors, or of several groups of heads, in one dispatch has of its own. */
const PART = ['w0', 'w1', 'w2', 'w3', 's', 'x', 'xs', 'y', 'ys', 'bias'] as const;
/** The most parts of a dispatch: q, k and v. */
export const MOST_PARTS = 3;
export type PartParameter = (typeof PART)[number];
export type Parameter = (typeof COMMON)[number] | PartParameter | `${PartParameter}_${1 | 2}`;
export type Parameters = { readonly [name in Parameter]?: number };

/** The name of a part's parameter. */
export const nameOf = (name: PartParameter, part: number): Parameter =>
  part === 0 ? name : (`${name}_${part}` as Parameter);

/** Names of a dispatch's parameters, in their order in memory. */
export const PARAMETERS: readonly Parameter[] = [
  ...COMMON,
  ...Array.from({ length: MOST_PARTS }, (_, part) => PART.map((name) => nameOf(name, part))).flat(),
];

/** Bytes of a dispatch's parameters, which is also what every adapter allows as a dynamic offset. */
export const PARAMETER_BYTES = 256;

export type Kernel = {
  /** Equal for equal text: the shape. */
  readonly key: string;
  /** The text, made when it is asked for: a model has many linears of few shapes. */
  code(): string;
};

const FIELDS = PARAMETERS.map((name) => `  ${name === 'as' ? 'as_' : name}: u32,`).join('\n');

/** The bindings. `weights` is how W is read. */
export const head = (weights: 'u32' | 'vec4<u32>' = 'u32'): string => `struct P {
${FIELDS}
}
@group(0) @binding(0) var<storage, read> W: array<${weights}>;
@group(0) @binding(1) var<storage, read_write> A: array<u32>;
@group(0) @binding(2) var<storage, read_write> C: array<f32>;
@group(0) @binding(3) var<uniform> p: P;
fn F(i: u32) -> f32 { return bitcast<f32>(A[i]); }
fn G(i: u32, v: f32) { A[i] = bitcast<u32>(v); }
`;

export const main = (threads: number): string => `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(global_invocation_id) gid: vec3u) {`;

const JOINED = { sum: (a: string, b: string) => `${a} + ${b}`, max: (a: string, b: string) => `max(${a}, ${b})` };

/** Puts the sum, or the largest, of every thread's `own` into the first number of `all`, a workgroup's array. */
export const reduce = (threads: number, join: keyof typeof JOINED, own = 'acc', all = 'part'): string => `
  ${all}[lid] = ${own};
  workgroupBarrier();
  for (var s = ${threads / 2}u; s >= 1u; s = s >> 1u) {
    if (lid < s) { ${all}[lid] = ${JOINED[join](`${all}[lid]`, `${all}[lid + s]`)}; }
    workgroupBarrier();
  }`;

/** A line for each token. */
export const each = (tokens: number, text: (t: number) => string): string =>
  Array.from({ length: tokens }, (_, t) => text(t)).join('\n      ');

/** A float16 number from its bits by integers alone: what unpack2x16float does with denormals is the driver's choice. */
export const HALF = `
fn half(h: u32) -> f32 {
  let sign = select(1f, -1f, (h & 0x8000u) != 0u);
  if ((h & 0x7c00u) == 0u) { return sign * f32(h & 0x3ffu) * 5.9604644775390625e-8f; }
  return sign * bitcast<f32>(((h & 0x7fffu) << 13u) + 0x38000000u);
}
`;
