import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TraceLog } from '../src/trace-log.ts';

const LINE = 64;

/** Has `use` write lines to a log, as a program does that does not append. */
function written(use: (write: (lines: number) => void, log: TraceLog, path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  const path = join(folder, 'trace');
  const file = openSync(path, 'w');
  let line = 0;
  const write = (lines: number): void => {
    for (let i = 0; i < lines; i++) writeSync(file, `${line++}`.padEnd(LINE - 1).concat('\n'));
  };
  try {
    use(write, new TraceLog(path, { kept: 64 * LINE, onDisk: 16 * 1024 }), path);
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

function numbers(text: string): number[] {
  return text.trim().split('\n').map(Number);
}

describe('TraceLog', () => {
  it('is the whole log where that is small', () => {
    written((write, log) => {
      write(64);
      log.trim();
      const { text, missing } = log.end();
      expect([numbers(text), missing]).toEqual([Array.from({ length: 64 }, (_, i) => i), 0]);
    });
  });

  it('is the end of one that grows, which takes little of the disk, and says how much is missing', () => {
    written((write, log, path) => {
      for (let round = 0; round < 40; round++) {
        write(300);
        log.trim();
        expect(statSync(path).blocks * 512).toBeLessThanOrEqual(24 * 1024);
      }
      write(3);
      const { text, missing } = log.end();
      const lines = 40 * 300 + 3 - 64;
      expect([numbers(text), missing]).toEqual([Array.from({ length: 64 }, (_, i) => lines + i), lines * LINE]);
    });
  });

  it('knows what is missing also where nothing was written after the file was emptied', () => {
    written((write, log) => {
      write(300);
      log.trim();
      const { text, missing } = log.end();
      expect([numbers(text).length, missing]).toEqual([64, (300 - 64) * LINE]);
    });
  });

  it('is empty where there is none', () => {
    expect(new TraceLog('/nowhere/trace').end()).toEqual({ text: '', missing: 0 });
  });
});
