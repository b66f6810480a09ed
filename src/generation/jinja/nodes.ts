// A template's tree, as Jinja2's parser makes it.

export type Expression =
  | { readonly kind: 'constant'; readonly value: string | bigint | number | boolean | null }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly items: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly object: Expression; readonly key: Expression }
  | { readonly kind: 'slice'; readonly object: Expression; readonly parts: readonly (Expression | undefined)[] }
  | ({ readonly kind: 'call'; readonly callee: Expression } & Arguments)
  | FilterNode
  | ({ readonly kind: 'test'; readonly operand: Expression; readonly name: string } & Arguments)
  | { readonly kind: 'unary'; readonly operator: '-' | '+' | 'not'; readonly operand: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'logical'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'compare';
      readonly first: Expression;
      readonly rest: readonly { readonly operator: CompareOperator; readonly operand: Expression }[];
    }
  | {
      readonly kind: 'choice';
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    };

/** `operand` is undefined in a filter block: what the block rendered. */
export type FilterNode = {
  readonly kind: 'filter';
  readonly operand: Expression | undefined;
  readonly name: string;
} & Arguments;

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type CompareOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export type Arguments = {
  readonly args: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
};

/** What is assigned to. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] }
  | { readonly kind: 'namespace'; readonly name: string; readonly key: string };

export type Parameters = readonly { readonly name: string; readonly preset: Expression | undefined }[];
export type Block = readonly Statement[];

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly value: Expression }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly iterable: Expression;
      readonly test: Expression | undefined;
      readonly body: Block;
      readonly otherwise: Block;
    }
  | { readonly kind: 'if'; readonly branches: readonly (readonly [Expression, Block])[]; readonly otherwise: Block }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly kind: 'capture'; readonly target: Target; readonly filter: FilterNode | undefined; readonly body: Block }
  | { readonly kind: 'with'; readonly pairs: readonly (readonly [Target, Expression])[]; readonly body: Block }
  | { readonly kind: 'macro'; readonly name: string; readonly parameters: Parameters; readonly body: Block }
  | {
      readonly kind: 'callblock';
      readonly call: Extract<Expression, { kind: 'call' }>;
      readonly parameters: Parameters;
      readonly body: Block;
    }
  | { readonly kind: 'filterblock'; readonly filter: FilterNode; readonly body: Block }
  | { readonly kind: 'scope'; readonly body: Block }
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' };

/** Calls `visit` for every node below. */
export function walk(node: unknown, visit: (node: Expression | Statement) => void): void {
  if (Array.isArray(node)) {
    for (const one of node) walk(one, visit);
  } else if (typeof node === 'object' && node !== null) {
    if ('kind' in node) visit(node as Expression | Statement);
    for (const one of Object.values(node)) walk(one, visit);
  }
}
