// Writes what was healed: the checkpoint with the trained tensors in its own dtype, and the scales of quantised linears; or
// the matrices of LoRA as an adapter in PEFT's form.

import { join } from 'node:path';
import { NumericError, UnsupportedError, writeFileAtomic } from '../base/index.js';
import { readScales, type TensorEdit, writeCheckpoint, writeSafetensors, writeScales } from '../checkpoint/index.js';
import { FAMILIES, type Model, readLinear, weightName } from '../model/index.js';
import { nameSource } from '../runs/index.js';
import { type DType, findNonFinite, fromFloat32 } from '../tensor/index.js';
import { isGrid, LORA_ALPHA, type Parameter, type Parameters } from '../train/index.js';
import { renew } from './write-mended.js';

/**
 * Writes the checkpoint with the trained tensors into `dir`; in `dtype` where it is given.
 * @throws NumericError E_NUMERIC_OVERFLOW where a dtype cannot hold a value
 */
export async function writeHealed(model: Model, parameters: Parameters, dir: string, dtype?: DType): Promise<void> {
  await renew(dir);
  const trained = byTensor(parameters);
  await writeCheckpoint(model.checkpoint, dir, (name): TensorEdit | undefined => {
    const open = trained.get(name);
    if (!open) return undefined;
    const tensor = model.checkpoint.tensors.get(name)!;
    const into = dtype ?? tensor.dtype;
    return { name, dtype: into, shape: tensor.shape, read: async () => store(name, (await open()).values(), into) };
  });
  const linears = model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) }));
  const scales = await readScales(model.checkpoint, linears);
  if (!scales || dtype !== undefined) return;
  const kept = [];
  for (const grid of scales.grids.values()) {
    const parameter = await trained.get(grid.name)?.();
    const linear = model.linears.flat().find((one) => weightName(one) === grid.name)!;
    const { dtype: stored } = model.checkpoint.tensors.get(grid.name)!;
    const values =
      parameter && isGrid(parameter)
        ? parameter.scales()
        : (await scales.read(grid.name, await readLinear(model.checkpoint, linear), stored)).scales;
    kept.push({ ...grid, scales: values });
  }
  await writeScales(dir, kept);
}

/** How to open the parameter of each tensor. Neighbours are of one block, so the last block stays open. */
function byTensor({ tensors, open }: Parameters): ReadonlyMap<string, () => Promise<Parameter>> {
  let last: { readonly block: number; readonly parameters: Promise<readonly Parameter[]> } | undefined;
  const find = async (block: number, name: string): Promise<Parameter> => {
    if (last?.block !== block) last = { block, parameters: open(block) };
    return (await last.parameters).find(({ tensor }) => tensor === name)!;
  };
  return new Map(tensors.flatMap((names, block) => names.map((name) => [name, () => find(block, name)] as const)));
}

function store(name: string, values: Float32Array, dtype: DType): Uint8Array {
  const bytes = fromFloat32(values, dtype);
  const { nan, infinite } = findNonFinite(bytes, dtype);
  if (nan + infinite === 0) return bytes;
  const message = `${name}: ${nan + infinite} trained numbers are no numbers of ${dtype}. Use a lower --rate, or a copy of the checkpoint in BF16 or F32.`;
  throw new NumericError('E_NUMERIC_OVERFLOW', message, { tensor: name, dtype });
}

/**
 * Refuses models whose linears PEFT cannot find.
 * @throws UnsupportedError E_UNSUPPORTED_ADAPTER
 */
export function requireAdaptable(model: Model): void {
  if (model.linears.flat().every(({ expert }) => expert === undefined)) return;
  const message = `--adapter: transformers stores the experts of ${model.config.family} in one tensor, which PEFT's adapters of linears do not reach. Leave --adapter out to merge.`;
  throw new UnsupportedError('E_UNSUPPORTED_ADAPTER', message, { family: model.config.family });
}

/** Writes the matrices as an adapter into `dir`: adapter_config.json and adapter_model.safetensors. */
export async function writeAdapter(model: Model, parameters: Parameters, rank: number, dir: string): Promise<void> {
  await renew(dir);
  const { names } = FAMILIES.get(model.config.family)!;
  // transformers' own names; a checkpoint may leave the base out.
  const prefix = model.tensorNames.blocks.slice(0, -`${names.blocks}.`.length);
  const moduleOf = (name: string): string => names.bases[0] + name.slice(prefix.length);
  const trained = byTensor(parameters);
  const tensors = [...trained].flatMap(([tensor, open]) => {
    const linear = model.linears.flat().find((one) => weightName(one) === tensor)!;
    const shapes = [
      [rank, linear.columns],
      [linear.rows, rank],
    ];
    return shapes.map((shape, i) => ({
      name: `base_model.model.${moduleOf(linear.name)}.lora_${'AB'[i]}.weight`,
      dtype: 'F32' as const,
      shape,
      read: async () => fromFloat32((await open()).variables[i]!.values, 'F32'),
    }));
  });
  await writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  const modules = [...new Set([...trained.keys()].map((tensor) => tensor.split('.').at(-2)!))];
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: nameSource(model).name,
    inference_mode: true,
    r: rank,
    lora_alpha: LORA_ALPHA * rank,
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: model.config.transposed,
    target_modules: modules,
  };
  await writeFileAtomic(join(dir, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`);
}
