// The parts of a block as data: its norms, its linears, and the sites where linears read. The family gives them names, the
// block file computes with them.

import type { Mixture, ModelConfig } from '../config.js';
import type { LinearKind, NormRole } from '../families/names.js';

/** A place in a block where linears read, with one tap. Linears that read the same value share it. */
export type TapSite =
  | 'attention_in'
  | 'attention_out'
  | 'mlp_in'
  | 'mlp_out'
  | `expert_${number}_in`
  | `expert_${number}_out`;

/** The site that an expert’s `gate` and `up` read, or the one its `down` reads. */
export const expertSite = (expert: number, side: 'in' | 'out'): TapSite => `expert_${expert}_${side}`;

/** The expert that a site belongs to; undefined for other sites. */
export function expertOf(site: string): number | undefined {
  const [, expert] = /^expert_(\d+)_/.exec(site) ?? [];
  return expert === undefined ? undefined : Number(expert);
}

export type NormPart = {
  readonly role: NormRole;
  readonly width: number;
  readonly weight: boolean;
  readonly bias: boolean;
};

/** W [rows = out, columns = in], whatever its order in the file. */
export type LinearPart = {
  readonly role: LinearKind;
  readonly rows: number;
  readonly columns: number;
  readonly bias: boolean;
  readonly site: TapSite;
  /** The expert that has this linear, where experts have their own. */
  readonly expert?: number;
};

/** In the checkpoint’s usual order. A router [experts, hidden] does not count as a linear: it is not pruned. */
export type BlockParts = {
  readonly norms: readonly NormPart[];
  readonly linears: readonly LinearPart[];
  readonly router?: { readonly rows: number; readonly columns: number };
};

/** The role of a linear among a block’s tensors. */
export const linearRole = (role: LinearKind, expert: number | undefined): string =>
  expert === undefined ? role : `expert.${expert}.${role}`;
export const ROUTER = 'router';

/** The norms of attention and MLP, and those of each head’s queries and keys. */
export function normParts(config: ModelConfig, after: readonly NormRole[] = []): readonly NormPart[] {
  const { hidden, headDim, qkNorm, normAffine, norm } = config;
  const part = (role: NormRole, width: number): NormPart => {
    return { role, width, weight: normAffine, bias: normAffine && norm === 'layer' };
  };
  const ofHeads = qkNorm ? [part('qNorm', headDim), part('kNorm', headDim)] : [];
  const ofResidual: readonly NormRole[] = ['attentionNorm', 'mlpNorm', ...after];
  return [...ofResidual.map((role) => part(role, hidden)), ...ofHeads];
}

/** q, k and v, or one linear for all three, and o. */
export function attentionParts(config: ModelConfig, joined: boolean): readonly LinearPart[] {
  const { hidden, heads, kvHeads, headDim, bias } = config;
  const [wide, narrow] = [heads * headDim, kvHeads * headDim];
  const reading = (role: LinearKind, rows: number): LinearPart => {
    return { role, rows, columns: hidden, bias: bias.qkv, site: 'attention_in' };
  };
  const o = { role: 'o', rows: hidden, columns: wide, bias: bias.o, site: 'attention_out' } as const;
  if (joined) return [reading('qkv', wide + 2 * narrow), o];
  return [reading('q', wide), reading('k', narrow), reading('v', narrow), o];
}

/** The linears of an MLP: those that read the residual, each `times` as wide as the MLP, and `down`. */
export function mlpParts(config: ModelConfig, reading: readonly LinearKind[], times = 1): readonly LinearPart[] {
  const { hidden, intermediate, bias } = config;
  return [
    ...reading.map((role): LinearPart => {
      return { role, rows: times * intermediate, columns: hidden, bias: bias.mlp, site: 'mlp_in' };
    }),
    { role: 'down', rows: hidden, columns: intermediate, bias: bias.mlp, site: 'mlp_out' },
  ];
}

/** The linears of every expert: gate, up and down. */
export function expertParts({ hidden }: ModelConfig, { experts, width }: Mixture): readonly LinearPart[] {
  return Array.from({ length: experts }, (_, expert) => {
    const reading = (role: LinearKind): LinearPart => {
      return { role, expert, rows: width, columns: hidden, bias: false, site: expertSite(expert, 'in') };
    };
    const site = expertSite(expert, 'out');
    return [
      reading('gate'),
      reading('up'),
      { role: 'down', expert, rows: hidden, columns: width, bias: false, site } as const,
    ];
  }).flat();
}
