// Gradients of whole blocks of every variant, and of the head, against finite differences in double precision.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { blockCases, type Case, imageCase, writeHeadCases } from '../engine/cases.js';
import { convnextCase } from '../engine/image-cases.js';
import { SLOPE } from '../tolerances.js';
import { slopeErrors } from './slopes.js';

const dir = await mkdtemp(join(tmpdir(), 'layerwise-gradients-'));
afterAll(() => rm(dir, { recursive: true }));
const headCases = await writeHeadCases(dir);

/** The graph's stored weights. */
const weightsOf = ({ graph }: Case): readonly string[] =>
  graph.initializers.filter(({ name }) => /\.(weight|bias)$/.test(name)).map(({ name }) => name);

describe('a block', () => {
  const whole = [...blockCases, imageCase(), convnextCase()].filter(({ graph }) =>
    graph.outputs.some(({ name }) => name === 'y'),
  );
  test.each(whole.map((item) => [item.name, item] as const))('%s', async (_, item) => {
    const wrt = ['x', ...weightsOf(item)];
    const errors = await slopeErrors(item.graph, item.inputs, { seeds: ['y'], wrt }, { together: true });
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(SLOPE);
  });
});

describe('the head', () => {
  test.each(['nll', 'divergence', 'logits'])('%s', async (output) => {
    const item = headCases.find(({ graph }) => graph.outputs.length === 1 && graph.outputs[0]!.name === output)!;
    const wrt = ['x', ...weightsOf(item)];
    const errors = await slopeErrors(item.graph, item.inputs, { seeds: [output], wrt });
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(SLOPE);
  });
});
