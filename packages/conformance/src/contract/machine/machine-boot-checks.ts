import block from '@virtio-platform/device-block';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { BootedMachine } from '@virtio-platform/core';
import { ForwardingDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { resetDevice } from '@virtio-platform/core/device';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { BlockRing, READ, SECTOR, WRITE } from '../../testing/block-ring.ts';
import { bindMachine } from '../../testing/open-plugin.ts';
import { watchCalls } from '../../testing/watch-calls.ts';
import { pattern } from '../dma/dma-trial.ts';
import {
  bootSubject,
  driverMapping,
  facilityNames,
  isSimulated,
  machineOptions,
  requestOf,
  suiteHardware,
  SUITE_FACILITY,
  type MachinePluginSubject,
} from './machine-subject.ts';
import { childProcesses, openDescriptors } from './process-resources.ts';

/** How long dispose may take, and how long what it ended may take to be gone. */
const END_MS = 10_000;
const STEP_MS = 20;
/** Requests of each kind, one at a time: each needs a notification. */
const WATCHED_ROUNDS = 200;
const UNTOLD = 'this system does not tell which descriptors and child processes are left; the rest of the check passed';

/** The duties of a machine that boots. */
export const MACHINE_BOOT_CHECKS: readonly ContractCheck<MachinePluginSubject>[] = [
  {
    name: 'boots with the memory and the device that it is asked for',
    duty: 'BootedMachine: memory and transport as MachineRequest asks for them; no fault before the device runs',
    advice: 'give the memory its size, and the transport the type and the interface of the device',
    async run(subject) {
      const { device, memory: bytes } = requestOf(subject);
      await withBooted(subject, ({ memory, transport, faults }) => {
        assert.equal(memory.size, bytes, 'bytes of guest memory');
        assert.equal(transport.deviceId, device.type.id);
        assert.equal(transport.interface, device.driverInterface);
        assert.equal(faults.count, 0, 'no fault before the device runs');
        const address = memory.allocate(PAGE_SIZE);
        memory.u8.set(pattern(64), address);
        assert.deepEqual(memory.u8.slice(address, address + 64), pattern(64), 'guest memory keeps what is written');
        memory.free(address);
      });
    },
  },
  {
    name: 'offers no more than the profile lets the device offer',
    duty: 'DeviceDescription.offers: what it offers; undefined leaves it to the device',
    advice: 'mask the offer of the device with `offers`',
    async run(subject) {
      let all: ReturnType<BootedMachine['transport']['readDeviceFeatures']> | undefined;
      await withBooted(subject, ({ transport }) => {
        all = transport.readDeviceFeatures();
      });
      const fewer = all!.without([...all!].find((bit) => bit < 32) ?? 0);
      await withBooted({ ...subject, device: { ...subject.device, offers: fewer } }, ({ transport }) => {
        const more = [...transport.readDeviceFeatures().minus(fewer)];
        assert.deepEqual(more, [], 'features that are not among `offers`');
      });
    },
  },
  {
    name: 'gives the platform its facilities',
    duty: 'BootedMachine.facilities: what the platform asked for in `needs`',
    advice: 'put each facility of `provides`, or those of the platform’s `simulate`, into `facilities`',
    async run(subject) {
      const hardware = suiteHardware();
      await withBooted(
        subject,
        ({ facilities }) => {
          if (!isSimulated(subject)) return;
          const names = facilityNames(facilities.keys());
          const wanted = hardware.facilities.get(SUITE_FACILITY);
          assert.equal(facilities.get(SUITE_FACILITY), wanted, `the facility that simulate returned, among ${names}`);
        },
        () => hardware,
      );
      if (!isSimulated(subject)) skipCheck('the suite has no platform for the facilities of this machine');
    },
  },
  {
    name: 'simulates the hardware of the platform once, over its own memory',
    duty: 'MachineRequest.simulate: builds the platform’s hardware in software, over the memory that the machine boots with',
    advice: 'call simulate once in boot, with the memory that is in BootedMachine.memory',
    async run(subject) {
      if (!isSimulated(subject)) skipCheck('the machine has real hardware');
      const seen: GuestMemory[] = [];
      const simulate = (memory: GuestMemory): ReturnType<typeof suiteHardware> => {
        seen.push(memory);
        return suiteHardware();
      };
      await withBooted(
        subject,
        ({ memory }) => assert.deepEqual([seen.length, seen[0] === memory], [1, true]),
        simulate,
      );
    },
  },
  {
    name: 'boots two machines that share nothing',
    duty: 'Machine.boot: starts it; each run has a machine of its own',
    advice: 'keep state in the booted machine, not in the module',
    async run(subject) {
      await withBooted(subject, (one) =>
        withBooted(subject, (other) => {
          assert.notEqual(one.memory.buffer, other.memory.buffer, 'each machine has memory of its own');
          assert.notEqual(one.transport, other.transport, 'each machine has a device of its own');
          one.transport.writeStatus(1);
          assert.equal(other.transport.readStatus(), 0, 'a status that the driver of the other machine set');
        }),
      );
    },
  },
  {
    name: 'carries requests to its device and back',
    duty: 'BootedMachine.transport: queues, notifications and waits of a device that serves its queues',
    advice: 'enable the queue at its addresses, serve it after notify, and end wait when a buffer was used',
    async run(subject) {
      requireBlock(subject);
      await withBooted(subject, (machine) => {
        const mapping = driverMapping(subject, machine);
        const ring = new BlockRing(machine, mapping);
        assert.equal(machine.transport.isQueueReset(0), false, 'queue 0 is enabled');
        const data = machine.memory.allocate(PAGE_SIZE);
        for (let sector = 0; sector < 8; sector++) {
          machine.memory.u8.set(pattern(SECTOR, sector), data);
          assert.equal(ring.request(WRITE, sector, data, SECTOR), 0, `the status of writing sector ${sector}`);
        }
        for (let sector = 0; sector < 8; sector++) {
          machine.memory.u8.fill(0, data, data + SECTOR);
          assert.equal(ring.request(READ, sector, data, SECTOR), 0, `the status of reading sector ${sector}`);
          const seen = machine.memory.u8.slice(data, data + SECTOR);
          assert.deepEqual(seen, pattern(SECTOR, sector), `sector ${sector} comes back as it was written`);
        }
        const counts = machine.notifications;
        if (counts !== undefined) {
          assert.ok(counts.received >= counts.needed, `${counts.received} notifications came, ${counts.needed} needed`);
          assert.equal(counts.missed, 0, 'no notification was missed');
        }
        assert.equal(machine.faults.count, 0, 'no fault of the device');
        ring.end();
        assert.ok(machine.transport.isQueueReset(0), 'queue 0 is not enabled after the reset');
        mapping.dispose();
      });
    },
  },
  {
    name: 'tells a driver that watches of each notification',
    duty: 'Transport.watch: has the listener called whenever `wait` may return something else than timeout',
    advice: 'call the listener from the event loop after each notification, also one that came before the last look',
    async run(subject) {
      requireBlock(subject);
      await withBooted(subject, async (machine) => {
        const { transport, memory } = machine;
        if (transport.watch === undefined) skipCheck('the transport cannot tell: its driver looks from time to time');
        const mapping = driverMapping(subject, machine);
        const nextCall = watchCalls(transport);
        const ring = new BlockRing(machine, mapping);
        const data = memory.allocate(PAGE_SIZE);
        for (let round = 0; round < WATCHED_ROUNDS; round++) {
          const sector = round % 8;
          memory.u8.set(pattern(SECTOR, round), data);
          assert.equal(await ring.requestWatched(nextCall, WRITE, sector, data, SECTOR), 0, `write ${round}`);
          memory.u8.fill(0, data, data + SECTOR);
          assert.equal(await ring.requestWatched(nextCall, READ, sector, data, SECTOR), 0, `read ${round}`);
          assert.deepEqual(memory.u8.slice(data, data + SECTOR), pattern(SECTOR, round), `sector ${sector}`);
        }
        ring.end();
        mapping.dispose();
      });
    },
  },
  {
    name: 'lets its device reach only what the platform allows',
    duty: 'Machine: what is really underneath and enforces the rules; SimulatedHardware.addressSpace',
    advice: 'let the device reach memory through the address space of the blueprint only, and record its faults',
    async run(subject) {
      if (!isSimulated(subject)) skipCheck('what the hardware enforces is seen with its own platform');
      requireBlock(subject);
      await withBooted(subject, (machine) => {
        const { memory, faults, transport } = machine;
        const mapping = driverMapping(subject, machine);
        const data = memory.allocate(PAGE_SIZE);
        memory.u8.fill(0x77, data, data + SECTOR);
        const faulty = new BlockRing(machine, new ForgettingMapping(mapping, data));
        faulty.submit(READ, 0, data, SECTOR);
        transport.wait(1000);
        transport.readStatus();
        assert.ok(faults.count > 0, 'an access that the address space refuses is a recorded fault');
        const isSame = memory.u8.subarray(data, data + SECTOR).every((byte) => byte === 0x77);
        assert.ok(isSame, 'the refused write does not arrive in memory');
        resetDevice(transport);
      });
    },
  },
  {
    name: 'ends everything that it started, also when it is disposed twice',
    duty: 'BootedMachine.dispose: ends everything that was started, on every way out. Never throws',
    advice: 'end threads and programs, close descriptors, remove files; do nothing the second time',
    async run(subject) {
      // What the first boot loads for good is there before the counting.
      await (await bootSubject(subject)).dispose();
      const [children, descriptors] = [childProcesses(), openDescriptors()];
      const booted = await bootSubject(subject);
      booted.transport.writeStatus(1);
      const start = performance.now();
      await booted.dispose();
      assert.ok(performance.now() - start < END_MS, `dispose ends in ${END_MS} ms`);
      await assert.doesNotReject(async () => booted.dispose(), 'the second dispose');
      if (children === undefined || descriptors === undefined) skipCheck(UNTOLD);
      await settled(() => (childProcesses() ?? []).length <= children.length);
      const left = (childProcesses() ?? []).filter((id) => !children.includes(id));
      assert.deepEqual(left, [], 'child processes that are left');
      await settled(() => openDescriptors()! <= descriptors);
      assert.ok(openDescriptors()! <= descriptors, `${openDescriptors()! - descriptors} descriptors are left open`);
    },
  },
  {
    name: 'leaves nothing when it cannot boot',
    duty: 'Machine.boot: throws a coded error, and then nothing is left running',
    advice: 'undo what boot started before its error passes',
    async run(subject) {
      if (!isSimulated(subject)) skipCheck('nothing that the suite can ask makes this machine fail');
      const options = await machineOptions(subject);
      await (await bootSubject(subject)).dispose();
      const [children, descriptors] = [childProcesses(), openDescriptors()];
      const { machine } = bindMachine(subject.plugin, options, requestOf(subject, { simulate: failOnPurpose }));
      await assert.rejects(async () => machine.boot(), /fails on purpose/, 'boot rejects with what went wrong');
      if (children === undefined || descriptors === undefined) skipCheck(UNTOLD);
      await settled(() => openDescriptors()! <= descriptors);
      assert.deepEqual(
        (childProcesses() ?? []).filter((id) => !children.includes(id)),
        [],
        'child processes that are left',
      );
      assert.ok(openDescriptors()! <= descriptors, 'descriptors that are left open');
    },
  },
];

/** The mapping of a driver that gives the device the physical address of one buffer in place of its device address. */
class ForgettingMapping extends ForwardingDmaMapping {
  readonly #forgotten: number;

  constructor(mapping: DmaMapping, forgotten: number) {
    super(mapping);
    this.#forgotten = forgotten;
  }

  override map(...[address, length, direction, words, at]: Parameters<DmaMapping['map']>): number {
    const id = super.map(address, length, direction, words, at);
    if (id >= 0 && address === this.#forgotten) words[at + 1] = 0;
    return id;
  }
}

/** Boots the subject, gives it to `use`, and disposes it on every way out. */
async function withBooted(
  subject: MachinePluginSubject,
  use: (booted: BootedMachine) => void | Promise<void>,
  simulate?: (memory: GuestMemory) => ReturnType<typeof suiteHardware>,
): Promise<void> {
  const booted = await bootSubject(subject, simulate === undefined ? {} : { simulate });
  try {
    await use(booted);
  } finally {
    await booted.dispose();
  }
}

function failOnPurpose(): never {
  throw new RangeError('the hardware of the suite fails on purpose');
}

function requireBlock(subject: MachinePluginSubject): void {
  const { type, driverInterface } = requestOf(subject).device;
  if (type.id !== block.id) skipCheck(`the suite has a driver for block devices, and none for ${type.name}`);
  if (driverInterface !== 'modern') skipCheck('the driver of the suite knows the modern interface only');
}

/** Waits until something ended in the background is gone, for a bounded time. */
async function settled(isGone: () => boolean): Promise<void> {
  for (let waited = 0; !isGone() && waited < 2000; waited += STEP_MS) await delay(STEP_MS);
}
