import { ringOptions } from '@virtio-platform/conformance/testing';
import { resetDevice, startDevice } from '@virtio-platform/core/device';
import { openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import { VIRTIO_BLK_T_GET_ID } from '@virtio-platform/device-block';
import { VTD_FACILITY, type VtdFacility } from '@virtio-platform/platform-intel-iommu';
import { composeRun, loadProfile, type ComposedRun } from '@virtio-platform/profile';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { initializeBlock } from './initialize-block.ts';
import { QEMU_TESTS } from './qemu-installed.ts';
import { monitor } from './qmp-monitor.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));
const SOCKET = join(folder, 'qmp');
const IRTA = 0xb8;
/** The device is 00:04.0. An entry with this third word is for it alone. */
const OF_DEVICE = (1 << 18) | 0x20;
const OF_ANOTHER = (1 << 18) | 0x28;

/** A Q35 whose platform has enabled interrupt remapping, with a monitor. */
async function compose(): Promise<ComposedRun> {
  const path = join(folder, 'interrupts.yaml');
  const content = {
    profile: 'interrupts',
    platform: { use: '@virtio-platform/platform-intel-iommu', invalidation: 'queued', interruptRemapping: true },
    machine: {
      use: '@virtio-platform/machine-qemu',
      board: 'q35',
      iommu: 'intel',
      intelIommu: { interruptRemapping: true },
      memory: '64MiB',
      arguments: ['-qmp', `unix:${SOCKET},server=on,wait=off`],
    },
    device: { type: 'block', capacity: '32KiB', offers: ['VERSION_1', 'ACCESS_PLATFORM'] },
    workload: { kind: 'write-read-verify', requests: 1, depth: 1, blockSize: '512B' },
  };
  writeFileSync(path, JSON.stringify(content));
  return await composeRun(await loadProfile(path));
}

/** Vectors that wait in the local APIC of the processor, which is halted and takes none. */
async function pendingVectors(): Promise<readonly number[]> {
  const [text] = await monitor(SOCKET, [
    { execute: 'human-monitor-command', arguments: { 'command-line': 'info lapic' } },
  ]);
  const line = /^IRR\s+(.*)$/m.exec(String(text))?.[1] ?? 'no IRR';
  return line.trim() === '(none)' ? [] : line.trim().split(/\s+/).map(Number);
}

/** Has the device complete a request, and send the MSI-X message of its queue, whose data is 1, to `address`. */
async function interrupt(run: ComposedRun, address: number): Promise<void> {
  const { machine, platform } = run;
  const { memory, transport } = machine;
  const { path } = initializeBlock(run);
  const mapping = platform.openMapping(path!, { queue: 0, capacity: 8 });
  const queue = openVirtqueue('split', memory, mapping, ringOptions());
  const messages = mapping.allocateCoherent(transport.interruptMessages!.bytes, 4);
  messages.writeDeviceAddress = (_offset, words, at) => words.set([address, 0], at);
  transport.interruptMessages!.receiveIn(messages);
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);
  const control = mapping.allocateCoherent(64, 16);
  memory.view.setUint32(control.address, VIRTIO_BLK_T_GET_ID, true);
  const list = new ScatterList(2);
  list.addReadableRegion(control, 0, 16);
  list.addWritableRegion(control, 16, 21);
  queue.enableNotifications();
  queue.add(list);
  queue.publish();
  transport.notify(0, queue.nextAvailable);
  const batch = new UsedBatch(1);
  for (let waits = 0; queue.takeUsed(batch) === 0; waits++) {
    expect(waits).toBeLessThan(500);
    await setTimeout(5);
  }
  resetDevice(transport);
  queue.reset();
  queue.dispose();
  mapping.dispose();
}

describe.skipIf(!QEMU_TESTS.mayRun)(`interrupts that QEMU's unit remaps (${QEMU_TESTS.needs})`, () => {
  it('reach the processor by an entry of the table of the driver, and by nothing else', async () => {
    const run = await compose();
    try {
      const { facilities, memory } = run.machine;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the token stands for
      const unit = facilities.get(VTD_FACILITY) as VtdFacility;
      const table = unit.read32(IRTA) & -4096;
      expect([unit.read32(IRTA) % 4096, unit.read32(0x1c)]).toEqual([7, 0xc700_0000]);
      memory.u32.set(
        [
          [0x0041_0001, 0, 0, 0],
          [0x0042_0001, 0, OF_DEVICE, 0],
          [0x0043_0001, 0, OF_ANOTHER, 0],
          [0x0044_0000, 0, 0, 0],
        ].flat(),
        table / 4,
      );
      const seen: (readonly number[])[] = [];
      for (const index of [2, 3, 256, 0, 1]) {
        await interrupt(run, 0xfee0_0010 + index * 32);
        seen.push(await pendingVectors());
      }
      expect(seen).toEqual([[], [], [], [0x41], [0x41, 0x42]]);
      // The compatibility format is blocked by the specification. QEMU 7.2 lets it through: vector 1 is its data.
      await interrupt(run, 0xfee0_0000);
      expect(await pendingVectors()).toEqual([1, 0x41, 0x42]);
      // It records none of them.
      expect(run.platform.recordedFaults!()).toEqual([]);
    } finally {
      await run.dispose();
    }
  });
});
