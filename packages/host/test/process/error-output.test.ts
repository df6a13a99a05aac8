import { closeSync, mkdtempSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ErrorOutput } from '../../src/process/error-output.ts';

describe('ErrorOutput', () => {
  it('keeps the file small and the end of the output, however much is printed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
    const path = join(folder, 'stderr');
    const output = new ErrorOutput(path);
    const file = output.open();
    try {
      expect(output.stderrTail()).toBe('');
      writeSync(file, `${'line\n'.repeat(50_000)}almost the end\n`);
      expect(statSync(path).size).toBeGreaterThan(200_000);
      await expect.poll(() => statSync(path).size, { timeout: 5000 }).toBe(0);
      writeSync(file, 'the end\n');
      expect(statSync(path).size).toBe(8);
      expect(output.stderrTail()).toMatch(/line\nalmost the end\nthe end$/);
      expect(output.stderrTail().length).toBeLessThanOrEqual(4096);
    } finally {
      closeSync(file);
      output.dispose();
      rmSync(folder, { recursive: true });
    }
    expect(output.stderrTail()).toContain('almost the end');
  });
});
