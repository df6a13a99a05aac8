import assert from 'node:assert/strict';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { openContainer, PLATFORM } from '@virtio-platform/core';
import type { ContractCheck } from '../../contract-check.ts';
import { deviceRead, mapBuffer, pattern } from '../dma/dma-trial.ts';
import { runRingEcho } from '../ring-echo.ts';
import { MAPPING_CAPACITY, openSubject, QUEUE_SIZE, type PlatformPluginSubject } from './platform-subject.ts';

/** The duties of a platform as a whole: rings run over it, and runs do not disturb each other. */
export const RING_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  {
    name: 'keeps the mappings of two queues apart',
    duty: 'Platform.openMapping: opens the mapping of one queue; each queue has one',
    advice: 'open a new mapping for each request, and share the tables behind them',
    async run(subject) {
      const { memory, allocated, space, openMapping, dispose } = await openSubject(subject);
      const [first, second] = [openMapping(0, MAPPING_CAPACITY), openMapping(1, MAPPING_CAPACITY)];
      const buffer = memory.allocate(PAGE_SIZE);
      memory.u8.fill(0x5a, buffer, buffer + 64);
      const words = new Uint32Array(4);
      const ids = [
        first.map(buffer, 64, DmaDirection.ToDevice, words, 0),
        second.map(buffer, 64, DmaDirection.ToDevice, words, 2),
      ];
      assert.deepEqual([first.statistics.live, second.statistics.live], [1, 1], 'each counts what is its own');
      first.unmap(ids[0]!, 0);
      // A whole ring comes and goes on the first queue, and then the first queue itself.
      const ring = { layout: 'split', inOrder: false, indirect: 0, eventIdx: false } as const;
      runRingEcho(memory, first, space, { ...ring, size: QUEUE_SIZE, requests: 16 });
      first.dispose();
      const seen = new Uint8Array(64);
      assert.ok(space.read(words[2]!, words[3]!, seen, 0, 64), 'the device still reaches what the second queue mapped');
      assert.ok(seen.every((byte) => byte === 0x5a));
      second.unmap(ids[1]!, 0);
      assert.deepEqual([second.statistics.live, space.faults.count], [0, 0]);
      second.dispose();
      memory.free(buffer);
      dispose();
      assert.equal(memory.allocated, allocated, 'all guest memory is given back');
    },
  },
  ...(['split', 'packed'] as const).map((layout) => ({
    name: `carries a ${layout} ring and its buffers, without a fault and with nothing left over`,
    duty: 'Platform: the ring runs unchanged under each platform; dispose gives back what the platform holds',
    advice: 'compare the device address of the ring, which is coherent memory, with the address space',
    async run(subject: PlatformPluginSubject): Promise<void> {
      for (const [indirect, inOrder] of [
        [0, false],
        [4, false],
        [0, true],
        [4, true],
      ] as const) {
        const { platform, memory, allocated, space, openMapping, dispose } = await openSubject(subject);
        const mapping = openMapping(0, MAPPING_CAPACITY);
        const features = { layout, inOrder, indirect, eventIdx: indirect > 0 };
        runRingEcho(memory, mapping, space, { ...features, size: QUEUE_SIZE, requests: 64 });
        assert.deepEqual(space.faults.entries, [], `${platform.name}: faults`);
        mapping.dispose();
        assert.equal(mapping.statistics.live, 0);
        dispose();
        assert.equal(memory.allocated, allocated, 'all guest memory is given back');
      }
    },
  })),
  {
    name: 'serves two runs in one process without a trace of one in the other',
    duty: 'PlatformPlugin.register and simulate: each run has a container, memory and hardware of its own',
    advice: 'keep state in the platform and its hardware, not in the module; bind in the given container only',
    async run(subject) {
      const [one, other] = [await openSubject(subject), await openSubject(subject)];
      assert.notEqual(one.platform, other.platform, 'each run has a platform of its own');
      assert.equal(
        openContainer().isRegistered(PLATFORM, true),
        false,
        'the root container has no binding of a plugin',
      );
      const addresses = [one, other].map(({ memory, openMapping }, i) => {
        const buffer = memory.allocate(PAGE_SIZE);
        memory.u8.set(pattern(64, i), buffer);
        return mapBuffer(openMapping(0, MAPPING_CAPACITY), buffer, 64, DmaDirection.ToDevice).address;
      });
      assert.deepEqual(deviceRead(one.space, addresses[0]!, 64), pattern(64, 0), 'the device of the first run');
      one.dispose();
      assert.deepEqual(deviceRead(other.space, addresses[1]!, 64), pattern(64, 1), 'the device of the second run');
      other.dispose();
    },
  },
];
