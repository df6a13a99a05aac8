#!/usr/bin/env node
// The command, as it was built. A clone that was not built runs the same program from its sources.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const built = new URL('../dist/main.js', import.meta.url);
if (existsSync(built)) await import(built.href);
else runSources(fileURLToPath(new URL('../src/main.ts', import.meta.url)));

/** @param {string} main */
function runSources(main) {
  // Conditions of packages can only be given when a process starts.
  const options = ['--import', import.meta.resolve('tsx'), '--conditions=@virtio-platform/source'];
  const child = spawn(process.execPath, [...process.execArgv, ...options, main, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.once('error', ({ message }) => {
    process.stderr.write(`${message}\n`);
    process.exitCode = 1;
  });
  child.once('close', (status, signal) => {
    process.exitCode = status ?? 128 + constants.signals[signal];
  });
}
