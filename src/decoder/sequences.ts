// Manages sequences: checks steps, splits them into passes, and copies their logits out. Where the numbers are is the
// backend's; the calling thread only hands it token numbers and copies logits.

import { InternalError, ResourceError } from '../base/portable.js';
import type { DecodeSession, Limits } from './backend.js';
import type { Decoder, GreedyWriter, StepPart } from './decoder.js';
import { type Pass, splitPasses } from './passes.js';
import type { Program } from './program.js';

/** `session` must have been opened with `program` and `limits`; `bytes` are those of its weights. */
export function createDecoder(program: Program, session: DecodeSession, limits: Limits, bytes: number): Decoder {
  const { vocabulary } = program;
  const { sequences } = limits;
  const { dispatches } = session;
  /** Positions so far of each open sequence. */
  const lengths = new Map<number, number>();
  let last: Promise<unknown> = Promise.resolve();

  const lengthOf = (sequence: number): number => {
    const length = lengths.get(sequence);
    if (length === undefined) {
      throw new InternalError('E_INTERNAL_SEQUENCE', `Sequence ${sequence} is not open.`, { sequence });
    }
    return length;
  };
  /** `times` steps of as many tokens. */
  const check = (parts: readonly StepPart[], times = 1): void => {
    const seen = new Set<number>();
    for (const { sequence, tokens } of parts) {
      const length = lengthOf(sequence);
      const wrong = tokens.find((token) => !(Number.isInteger(token) && token >= 0 && token < vocabulary));
      if (wrong !== undefined || seen.has(sequence) || length + times * tokens.length > limits.positions) {
        throw new InternalError(
          'E_INTERNAL_STEP',
          `A step must name each sequence once, with tokens below ${vocabulary} and at most ${limits.positions} positions.`,
          { sequence, wrong, length, tokens: tokens.length },
        );
      }
      seen.add(sequence);
    }
  };

  const runPass = async (pass: Pass, out: readonly Float32Array[], filled: number[]): Promise<void> => {
    const { tokens, positions, runs, picks } = pass;
    const logits = await session.step({ tokens, positions, runs, picks: picks.map(({ row }) => row) });
    for (const [i, { part }] of picks.entries()) {
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const target = out[part]!.subarray(filled[part]! * vocabulary, (filled[part]! + 1) * vocabulary);
      target.set(row);
      if (program.logitCap !== undefined) capLogits(target, program.logitCap);
      filled[part]!++;
    }
  };

  const step = async (parts: readonly StepPart[]): Promise<readonly Float32Array[]> => {
    check(parts);
    const out = parts.map(({ tokens, logits }) => {
      const wanted = logits === 'none' ? 0 : logits === 'last' ? Math.min(1, tokens.length) : tokens.length;
      return new Float32Array(wanted * vocabulary);
    });
    const filled = parts.map(() => 0);
    const passes = splitPasses(
      parts,
      parts.map(({ sequence }) => lengthOf(sequence)),
      limits,
    );
    for (const pass of passes) await runPass(pass, out, filled);
    for (const { sequence, tokens } of parts) lengths.set(sequence, lengthOf(sequence) + tokens.length);
    return out;
  };

  const write: GreedyWriter['write'] = async function* (starts, count) {
    const before = last;
    let end: () => void = () => undefined;
    last = new Promise<void>((resolve) => {
      end = resolve;
    });
    try {
      await before;
      check(
        starts.map(({ sequence, token }) => ({ sequence, tokens: [token], logits: 'last' })),
        count,
      );
      const positions = starts.map(({ sequence }) => lengthOf(sequence));
      const rows = {
        tokens: starts.map(({ token }) => token),
        positions,
        runs: starts.map(({ sequence }, from) => ({ sequence, start: positions[from]!, from, count: 1 })),
        picks: starts.map((_, row) => row),
      };
      for await (const choices of session.write!(rows, count)) {
        for (const { sequence } of starts) lengths.set(sequence, lengthOf(sequence) + 1);
        yield choices;
      }
    } finally {
      end();
    }
  };
  const writes = session.write !== undefined && program.logitCap === undefined;

  return {
    info: { vocabulary, maxPositions: limits.positions, sequences, bytes, threads: session.threads, dispatches },
    open: () => {
      for (let sequence = 0; sequence < sequences; sequence++) {
        if (lengths.has(sequence)) continue;
        lengths.set(sequence, 0);
        return sequence;
      }
      throw new ResourceError('E_RESOURCE_SEQUENCES', `All ${sequences} sequences are open; release one first.`, {
        sequences,
      });
    },
    step: (parts) => {
      const result = last.then(() => step(parts));
      last = result.catch(() => undefined);
      return result;
    },
    greedy: writes ? { most: Math.min(limits.tokens, limits.picked), write } : undefined,
    truncate: (sequence, length) => void lengths.set(sequence, Math.min(length, lengthOf(sequence))),
    release: (sequence) => void lengths.delete(sequence),
    close: () => session.close(),
  };
}

/** cap · tanh(x / cap), as Gemma 2 has it. */
function capLogits(logits: Float32Array, cap: number): void {
  for (let i = 0; i < logits.length; i++) logits[i] = cap * Math.tanh(logits[i]! / cap);
}
