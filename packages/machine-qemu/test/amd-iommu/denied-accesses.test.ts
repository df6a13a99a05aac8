import { appendFileSync, closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeniedAccesses } from '../../src/amd-iommu/denied-accesses.ts';

/** A line as QEMU writes it. */
function line(address: string): string {
  return `amdvi_page_fault error: page fault accessing guest physical address 0x${address}\n`;
}

let folder: string;
let log: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  log = join(folder, 'trace');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('DeniedAccesses', () => {
  it('has QEMU write the one event to its log, or to that of the trace', () => {
    const own = new DeniedAccesses(log, true);
    expect(own.arguments).toEqual(['-D', log, '-trace', 'amdvi_page_fault']);
    own.dispose();
    expect(new DeniedAccesses(log, false).arguments).toEqual(['-trace', 'amdvi_page_fault']);
  });

  it('takes each address once, in order, and nothing of other lines', () => {
    const denied = new DeniedAccesses(log, false);
    expect(denied.take()).toEqual([]);
    appendFileSync(log, `${line('5000')}17@1.000002:${line('ffff5004')}amdvi_iotlb_hit hit gpa 0x7 hpa 0x8\nnoise\n`);
    expect(denied.take()).toEqual([0x5000n, 0xffff_5004n]);
    expect(denied.take()).toEqual([]);
    appendFileSync(log, line('7fffffff6000'));
    expect(denied.take()).toEqual([0x7fff_ffff_6000n]);
  });

  it('waits for the end of a line that is being written', () => {
    const denied = new DeniedAccesses(log, false);
    appendFileSync(log, line('12345').slice(0, -3));
    expect(denied.take()).toEqual([]);
    appendFileSync(log, '45\n');
    expect(denied.take()).toEqual([0x1_2345n]);
  });

  it('goes on behind the hole of a log that was emptied', () => {
    const denied = new DeniedAccesses(log, false);
    const file = openSync(log, 'w');
    writeSync(file, line('1000'));
    expect(denied.take()).toEqual([0x1000n]);
    writeSync(file, line('2000'));
    ftruncateSync(file);
    expect(denied.take()).toEqual([]);
    writeSync(file, line('3000'));
    expect(denied.take()).toEqual([0x3000n]);
    closeSync(file);
  });
});
