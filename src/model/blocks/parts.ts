// The parts of a block as data: its norms, its linears, the sites where linears read and what they feed. The family gives
// them names, the block file computes with them; which rows and columns can only go together follows (groups.ts).

import type { BlockConfig, Mixture, ModelConfig } from '../config.js';
import type { ExtraRole, LinearKind, NormRole } from '../families/names.js';

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

/**
 * What a linear's rows become: the value that others read at a site, or a part of the residual, whose width all blocks
 * share. What linears read at a site that nothing in the block feeds is the residual, normed or not.
 */
export type Fed = TapSite | 'residual';

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
  /** Where it reads. */
  readonly site: TapSite;
  readonly feeds: Fed;
  /**
   * The rows of what lies one after another in it: q, k and v, or gate and up, where they are one tensor. Every section
   * has its share of each slice of what the linear feeds.
   */
  readonly sections: readonly number[];
  /** The expert that has this linear, where experts have their own. */
  readonly expert?: number;
};

/** In the checkpoint’s usual order. A router [experts, hidden] does not count as a linear: it is not pruned. */
export type BlockParts = {
  readonly norms: readonly NormPart[];
  readonly linears: readonly LinearPart[];
  readonly router?: { readonly rows: number; readonly columns: number };
  /** Tensors that are neither norms nor linears. */
  readonly extras?: readonly ExtraPart[];
};

export type ExtraPart = { readonly role: ExtraRole; readonly shape: readonly number[] };

/** The role of a linear among a block’s tensors. */
export const linearRole = (role: LinearKind, expert: number | undefined): string =>
  expert === undefined ? role : `expert.${expert}.${role}`;
export const ROUTER = 'router';

/** The factors of what attention and MLP add to the residual, where the model has them. */
export const scaleParts = ({ layerScale, hidden }: ModelConfig): readonly ExtraPart[] =>
  layerScale ? (['attentionScale', 'mlpScale'] as const).map((role) => ({ role, shape: [hidden] })) : [];

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

/**
 * The width of a slice, the least of a value that can go alone: at the end of attention the query heads that share their
 * keys, elsewhere one channel.
 */
export const sliceWidth = ({ heads, kvHeads, headDim }: BlockConfig, site: TapSite): number =>
  site === 'attention_out' ? (heads / kvHeads) * headDim : 1;

/** A linear that writes into the residual. */
const feedsResidual = ({ hidden }: ModelConfig) => ({ rows: hidden, sections: [hidden], feeds: 'residual' }) as const;

/**
 * q, k and v, and o. `stored`: the three are tensors of their own, one tensor with q before k before v, or one in which
 * every head has its q, k and v in a row.
 */
export function attentionParts(config: BlockConfig, stored: 'apart' | 'stacked' | 'byHead'): readonly LinearPart[] {
  const { hidden, heads, kvHeads, headDim, bias } = config;
  const [wide, narrow] = [heads * headDim, kvHeads * headDim];
  const reading = (role: LinearKind, sections: readonly number[]): LinearPart => ({
    role,
    rows: sections.reduce((a, b) => a + b),
    columns: hidden,
    bias: bias.qkv,
    site: 'attention_in',
    feeds: 'attention_out',
    sections,
  });
  const o: LinearPart = { role: 'o', columns: wide, bias: bias.o, site: 'attention_out', ...feedsResidual(config) };
  if (stored === 'stacked') return [reading('qkv', [wide, narrow, narrow]), o];
  if (stored === 'byHead') return [reading('qkv', [wide + 2 * narrow]), o];
  return [reading('q', [wide]), reading('k', [narrow]), reading('v', [narrow]), o];
}

/** The linears of an MLP: those that read the residual, each with `times` the rows of one, and `down`. */
export function mlpParts(config: BlockConfig, reading: readonly LinearKind[], times = 1): readonly LinearPart[] {
  const { hidden, intermediate, bias } = config;
  const sections = Array.from({ length: times }, () => intermediate);
  return [
    ...reading.map((role): LinearPart => {
      const rows = times * intermediate;
      return { role, rows, columns: hidden, bias: bias.mlp, site: 'mlp_in', feeds: 'mlp_out', sections };
    }),
    { role: 'down', columns: intermediate, bias: bias.mlp, site: 'mlp_out', ...feedsResidual(config) },
  ];
}

/** The linears of every expert: gate, up and down. */
export function expertParts(config: ModelConfig, { experts, width }: Mixture): readonly LinearPart[] {
  return Array.from({ length: experts }, (_, expert): readonly LinearPart[] => {
    const [site, out] = [expertSite(expert, 'in'), expertSite(expert, 'out')];
    const reading = (role: LinearKind): LinearPart => {
      const sizes = { rows: width, columns: config.hidden, sections: [width] };
      return { role, expert, ...sizes, bias: false, site, feeds: out };
    };
    return [
      reading('gate'),
      reading('up'),
      { role: 'down', expert, columns: width, bias: false, site: out, ...feedsResidual(config) },
    ];
  }).flat();
}
