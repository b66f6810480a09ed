// For llama-quantize of llama.cpp: a file for --tensor-type-file (since February 2026), of `name=type` separated by white
// space. A name is a regular expression that is searched in the tensor's name; ours match the whole name. Types have groups of
// their own, so only a plan's bits are carried over: the K-types where 256 divides the columns, else those of 32 columns.
// The experts of a block are one tensor in GGUF and have one type.

import { UnsupportedError } from '../../base/index.js';
import type { LinearUnit } from '../unit.js';
import {
  type Exporter,
  type ExportLinear,
  type ExportModel,
  expandPlan,
  refuseExport,
  refuseOthers,
} from './target.js';

const TOOL = 'llama.cpp';

/** GGUF's names of what a linear does. phi3's gate and up are one tensor there too. */
const ROLES: Readonly<Record<string, string>> = {
  ...{ q: 'attn_q', k: 'attn_k', v: 'attn_v', qkv: 'attn_qkv', o: 'attn_output' },
  ...{ gate: 'ffn_gate', up: 'ffn_up', gate_up: 'ffn_up', down: 'ffn_down' },
};
/** Families that convert_hf_to_gguf.py does not know. */
const UNKNOWN_FAMILIES: readonly string[] = ['opt'];

/** Types by bits: of 256 columns, and of 32. */
const WIDE: ReadonlyMap<number, string> = new Map([
  [2, 'q2_k'],
  [3, 'q3_k'],
  [4, 'q4_k'],
  [5, 'q5_k'],
  [6, 'q6_k'],
]);
const NARROW: ReadonlyMap<number, string> = new Map([
  [4, 'q4_0'],
  [5, 'q5_0'],
  [8, 'q8_0'],
]);
const PLAIN: ReadonlyMap<string, string> = new Map([
  ['BF16', 'bf16'],
  ['F16', 'f16'],
  ['F32', 'f32'],
]);

export const llamaCpp: Exporter = {
  name: TOOL,
  summary: 'tensor types for llama-quantize --tensor-type-file',
  write: (plan, model) => {
    requireFamily(model);
    const types = new Map<string, { readonly type: string; readonly linear: ExportLinear }>();
    const treated = expandPlan(plan, model);
    for (const one of treated) {
      refuseOthers(TOOL, one, ['bits']);
      const { linear, treatment } = one;
      const bits = treatment?.bits?.bits;
      const type = bits === undefined || bits === 16 ? plainType(linear) : typeOf(linear, bits);
      const name = tensorName(linear);
      const before = types.get(name);
      if (before && before.type !== type) {
        const what = `the type ${type}, and ${before.linear.id} has ${before.type}`;
        refuseExport(TOOL, linear, what, `Both are part of ${name} in GGUF, which has one type: give them equal bits.`);
      }
      if (!before) types.set(name, { type, linear });
    }
    const lines = [...types].map(([name, { type }]) => `^${name.replaceAll('.', '\\.')}$=${type}\n`);
    const groups = new Set(treated.flatMap(({ treatment }) => treatment?.bits?.group ?? []));
    const grouped = `llama.cpp’s types have scales of their own: the plan’s groups of ${[...groups].join(' and ')} columns are not used.`;
    return {
      text: lines.join(''),
      usage: 'llama-quantize --tensor-type-file <this file> model-f16.gguf model.gguf Q4_K_M',
      notes: groups.size > 0 ? [grouped] : [],
    };
  },
};

function requireFamily({ family }: ExportModel): void {
  if (!UNKNOWN_FAMILIES.includes(family)) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_EXPORT',
    `--export ${TOOL}: llama.cpp has no models of the family ${family}. Use another --export.`,
    { tool: TOOL, family },
  );
}

function tensorName({ block, role, expert }: ExportLinear): string {
  return `blk.${block}.${ROLES[role]}${expert === undefined ? '' : '_exps'}.weight`;
}

function plainType(linear: ExportLinear): string {
  const type = PLAIN.get(linear.dtype);
  if (type !== undefined) return type;
  const next = 'Give it bits of 16 in a checkpoint of BF16, F16 or F32.';
  return refuseExport(TOOL, linear, `no bits, and its weights are ${linear.dtype}, which GGUF has not`, next);
}

function typeOf(linear: LinearUnit, bits: number): string {
  const type = (linear.columns % 256 === 0 && WIDE.get(bits)) || (linear.columns % 32 === 0 && NARROW.get(bits));
  if (type) return type;
  const known = [...new Set([...WIDE.keys(), ...NARROW.keys()])].sort((a, b) => a - b);
  const next = known.includes(bits)
    ? 'There the types need columns in multiples of 256 (2 to 6 bits) or 32 (4, 5 and 8).'
    : `There are types of ${known.join(', ')} bits.`;
  return refuseExport(
    TOOL,
    linear,
    `${bits} bits and ${linear.columns} columns, for which llama.cpp has no type`,
    next,
  );
}
