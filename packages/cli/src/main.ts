#!/usr/bin/env node
import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { raiseInliningBudget } from '@virtio-platform/core/inlining-budget';
import { claimOutput } from './claimed-output.ts';
import { runCommandLine } from './command-line.ts';
import { findBanner } from './npm-options.ts';
import { Interruption } from './interruption.ts';
import { processScreen } from './step/process-screen.ts';
import type { TextStream } from './terminal.ts';

// While a command runs, no plugin may end the process: see `forbidExit`.
const exit = process.exit.bind(process);
// Exiting, unlike being ended by a signal, lets everything that was started be ended.
for (const signal of ['SIGHUP', 'SIGQUIT'] as const) process.once(signal, () => exit(128 + constants.signals[signal]));
const interruption = new Interruption();
let interrupted: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted ??= 128 + constants.signals[signal];
    if (interruption.raise(signal)) exit(128 + constants.signals[signal]);
  });
}

// The exit status tells of the runs, also where the output is lost: its reader has seen enough, or the disk is full.
let isLost = false;
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (!isLost && code !== 'EPIPE') process.stderr.write(`the output is lost: ${code}\n`);
  isLost = true;
});
process.stderr.on('error', () => {});

// With `bigint`, because a pipe in the other array that Node shares among its calls ends the next `realpathSync` early:
// a package behind a symbolic link is then loaded from the link, and does not find what it depends on.
const banner = findBanner(fstatSync(process.stdout.fd, { bigint: true }).isFile());
if (banner !== undefined) process.stderr.write(`${banner}\n`);

const output = claimOutput(process.stdout, process.stderr);
const streams = { stdout: output, stderr: process.stderr, cwd: process.cwd(), screen: processScreen };
const status = await runCommandLine(process.argv.slice(2), streams, {
  input: process.stdin,
  interruption,
  // Of this process, and of the threads in which devices run.
  beforeLongRuns: raiseInliningBudget,
});
for (const stream of [output, process.stderr]) await written(stream);
// A timer or a thread that a plugin left must not keep the command.
exit(interrupted ?? status);

/** Waits until everything was written, or cannot be. */
function written(stream: TextStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
