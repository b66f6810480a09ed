// Progress of long work, on stderr. On a terminal: one line with the stage, the step, the rate and the remaining time of
// the stage (drawn by ora). Elsewhere, in a log file or CI: a plain line per stage and per note, and one from time to time
// inside a long stage.

import ora from 'ora';
import type { OnProgress, ProgressEvent, ProgressUnit } from '../base/index.js';
import { formatBytes } from '../words/index.js';
import { formatSeconds } from './format.js';

export type Progress = { readonly onProgress: OnProgress; end(): void };

/** The current stage. Pure data, so that it can be tested without a clock or a terminal. */
export type Stage = {
  readonly name: string;
  readonly total: number | undefined;
  readonly unit?: ProgressUnit | undefined;
  readonly began: number;
  done: number;
};

/** The stage's line at time `now`, in milliseconds. */
export function describeStage(stage: Stage, now: number): string {
  const { name, total, unit = 'block', began, done } = stage;
  if (total === undefined) return name;
  const seconds = (now - began) / 1000;
  const place =
    unit === 'bytes'
      ? `${formatBytes(Math.min(done, total))} of ${formatBytes(total)}`
      : `${unit} ${Math.min(done + 1, total)} of ${total}`;
  const parts = [name, place];
  if (done > 0 && seconds > 0) {
    const rate = done / seconds;
    parts.push(unit === 'bytes' ? `${formatBytes(Math.round(rate))}/s` : describeRate(rate, unit));
    parts.push(`${formatSeconds(Math.max(0, total - done) / rate)} left`);
  }
  return parts.join(' · ');
}

const describeRate = (rate: number, unit: string): string =>
  rate >= 1 ? `${rate.toFixed(1)} ${unit}s/s` : `${formatSeconds(1 / rate)} a ${unit}`;

type Surface = {
  stage(line: string): void;
  step(line: string): void;
  note(line: string): void;
  end(): void;
};

/** Listens to events and draws them on `stream`. `now` is a clock in milliseconds. */
export function createProgress(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): Progress {
  const surface = stream.isTTY && process.env.TERM !== 'dumb' ? onTerminal(stream) : onLines(stream, now);
  let stage: Stage | undefined;
  const onProgress = (event: ProgressEvent): void => {
    switch (event.kind) {
      case 'stage':
        stage = { name: event.stage, total: event.total, unit: event.unit, began: now(), done: 0 };
        surface.stage(describeStage(stage, now()));
        break;
      case 'advance':
        if (!stage) break;
        stage.done += event.by ?? 1;
        if (stage.done < (stage.total ?? 0)) surface.step(describeStage(stage, now()));
        break;
      case 'note':
        surface.note(event.text);
        break;
      default:
        event satisfies never;
    }
  };
  return { onProgress, end: () => surface.end() };
}

function onTerminal(stream: NodeJS.WriteStream): Surface {
  const spinner = ora({ stream, discardStdin: false });
  const show = (line: string): void => {
    spinner.text = line;
    if (!spinner.isSpinning) spinner.start();
  };
  return {
    stage: show,
    step: show,
    note: (line) => {
      const { text, isSpinning } = spinner;
      spinner.info(line);
      if (isSpinning) spinner.start(text);
    },
    end: () => void spinner.stop(),
  };
}

/** Seconds between two lines inside one stage. */
const PLAIN_INTERVAL = 10;

function onLines(stream: NodeJS.WriteStream, now: () => number): Surface {
  let last = now();
  const write = (line: string): void => {
    last = now();
    stream.write(`${line}\n`);
  };
  return {
    stage: write,
    step: (line) => {
      if (now() - last >= PLAIN_INTERVAL * 1000) write(line);
    },
    note: write,
    end: () => {},
  };
}
