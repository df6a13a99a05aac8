#!/usr/bin/env node
import 'reflect-metadata';
import { runCommandLine } from './command-line.ts';

// Exiting, unlike being ended by a signal, lets everybody end what they started.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  cwd: process.cwd(),
});
