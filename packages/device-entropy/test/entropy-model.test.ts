import { EntropyDevice, EntropyDriver, SeededBytes, SeededSource } from '@virtio-platform/device-entropy';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, NOTHING_LEFT } from '@virtio-platform/conformance/testing';

const MODERN = FeatureSet.of(VIRTIO_F_VERSION_1);
const LONGEST = 90;
const RUNS = 60;
const LEAST_OPERATIONS = 170;
const SEED = 11;

/** A request, how many pieces it has, and whether the driver looks at what came before it. */
const operation = fc.record({
  length: fc.integer({ min: 1, max: LONGEST }),
  pieces: fc.integer({ min: 1, max: 4 }),
  polls: fc.boolean(),
});

describe('both halves of an entropy device', () => {
  it('agree with a model of each buffer through 10,000 operations', () => {
    let operations = 0;
    fc.assert(
      fc.property(
        fc.array(operation, { minLength: LEAST_OPERATIONS, maxLength: LEAST_OPERATIONS + 20 }),
        fc.integer({ min: 1, max: LONGEST }),
        fc.constantFrom('premapped' as const, 'streaming', 'coherent'),
        (list, bufferBytes, buffers) => {
          const loop = new DeviceLoop(new EntropyDevice(new SeededSource(SEED), 32, { bufferBytes }), MODERN);
          const [{ queue, mapping }] = loop.queues(0) as [ReturnType<typeof loop.queues>[0]];
          const driver = new EntropyDriver(loop.memory, queue, mapping, { depth: 6, bytes: LONGEST, buffers });
          const expected = new SeededBytes(SEED);
          const target = new Uint8Array(LONGEST);
          const asked: number[] = [];
          let counter = 0;
          const take = (): void => {
            driver.publish();
            loop.serve();
            const came = driver.poll();
            for (let i = 0; i < came; i++) {
              const [address, length] = [driver.address(driver.slot(i)), asked.shift()!];
              const given = Math.min(length, bufferBytes);
              expected.begin(counter++);
              expect(driver.read(i, target)).toBe(given);
              const right = Uint8Array.from({ length: given }, () => expected.next());
              expect(Buffer.compare(target.subarray(0, given), right)).toBe(0);
              // The device half touches nothing behind what it says.
              const behind = loop.memory.u8.subarray(address + given, address + LONGEST);
              expect(behind.every((byte) => byte === 0)).toBe(true);
            }
          };
          for (const { length, pieces, polls } of list) {
            if (polls) take();
            if (driver.submit(length, Math.min(pieces, length)) >= 0) asked.push(length);
            else expect(driver.inFlight).toBe(6);
          }
          take();
          operations += list.length;
          expect(asked).toEqual([]);
          expect(loop.end(driver)).toEqual(NOTHING_LEFT);
        },
      ),
      { numRuns: RUNS },
    );
    expect(operations).toBeGreaterThanOrEqual(10_000);
  });
});
