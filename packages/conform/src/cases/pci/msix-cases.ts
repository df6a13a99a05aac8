import { BOTH_LAYOUTS, type ConformBench, type ConformRing } from '@virtio-platform/core';
import { COMMON, NO_VECTOR } from '../../pci/common-registers.ts';
import { MessageMemory, UNTAKEN } from '../../pci/interrupt-mode.ts';
import type { MsixRegisters } from '../../pci/msix-registers.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { failRing } from './isr-cases.ts';

const VECTORS = '4.1.5.1.2.1';
const USED = '4.1.5.3.1';
const CHANGES = '4.1.5.4.1';
const ON_BOTH = { layouts: BOTH_LAYOUTS };

/** A device at work whose messages are memory, with no vector mapped. */
interface Messages {
  readonly ring: ConformRing;
  readonly msix: MsixRegisters;
  readonly memory: MessageMemory;
  /** The last vector of the table. */
  readonly last: number;
}

async function startWithMessages(bench: ConformBench, pci: PciBench): Promise<Messages> {
  bench.receiveBy(UNTAKEN);
  const msix = pci.messageVectors();
  const ring = await bench.start();
  const memory = new MessageMemory(bench, msix);
  pci.write(COMMON.configVector, NO_VECTOR);
  for (const queue of bench.enabled) pci.writeOf(queue, COMMON.queueVector, NO_VECTOR);
  memory.takeAll();
  return { ring, msix, memory, last: msix.size - 1 };
}

/** Serves a request, and returns the vectors whose messages came. */
async function vectorsOfRequest(bench: ConformBench, { memory }: Messages, n = 0): Promise<string> {
  await bench.serve(bench.layOut(n));
  let vectors: readonly number[] = [];
  await bench.until('send a message', () => (vectors = [...vectors, ...memory.takeAll()]).length > 0);
  await bench.settle();
  return [...new Set([...vectors, ...memory.takeAll()])].join();
}

/** Serves a request, of which no message may come. */
async function servesSilently(bench: ConformBench, { memory }: Messages, n = 0): Promise<void> {
  await bench.serve(bench.layOut(n));
  await bench.settle();
  bench.equal('vectors whose messages came', memory.takeAll().join(), '');
}

function oneCase(id: string, clause: string, title: string, run: PciCase['run'], rest: Partial<PciCase> = {}): PciCase {
  return { id: `pci/msix/${id}`, clause, level: 'MUST', title, run, ...rest };
}

/** The table and its registers, without a message. */
const TABLE_CASES: readonly PciCase[] = [
  oneCase(
    'vectors',
    VECTORS,
    'has between 2 and 2048 vectors',
    (bench, pci) => {
      const msix = pci.requireMsix();
      bench.check(msix.size >= 2 && msix.size <= 0x800, `it has ${msix.size}`);
    },
    { level: 'SHOULD' },
  ),
  ...(['table', 'pendingBits'] as const).map((what) =>
    oneCase(
      what === 'table' ? 'table-inside' : 'pending-inside',
      '4.1',
      `has the ${what === 'table' ? 'table' : 'pending bits'} of MSI-X inside of a base address register, aligned to 8`,
      (bench, pci) => {
        const msix = pci.requireMsix();
        const { bar, offset, bytes } = msix[what];
        bench.check(offset + bytes <= (pci.pci.openBar(bar)?.size ?? 0), `it ends behind BAR ${bar}`);
        bench.equal('the rest of its offset by 8', offset % 8, 0);
      },
    ),
  ),
  oneCase('table-apart', '4.1', 'has the table and the pending bits of MSI-X apart', (bench, pci) => {
    const msix = pci.requireMsix();
    const { table, pendingBits } = msix;
    const isApart =
      table.bar !== pendingBits.bar ||
      table.offset + table.bytes <= pendingBits.offset ||
      pendingBits.offset + pendingBits.bytes <= table.offset;
    bench.check(isApart, 'they overlap');
  }),
  oneCase('size-fixed', '4.1', 'keeps the size of the table where software writes to it', (bench, pci) => {
    const msix = pci.requireMsix();
    const before = msix.control & 0x7ff;
    msix.control = 0x7ff;
    bench.equal('the size field', msix.control & 0x7ff, before);
  }),
  oneCase('control-kept', '4.1', 'keeps the bits for MSI-X and for its mask', (bench, pci) => {
    if (bench.device.machine === 'vfio') bench.skip('the kernel keeps these bits of the function');
    const msix = pci.requireMsix();
    for (const bits of [0x8000, 0xc000, 0x4000, 0]) {
      msix.control = bits;
      bench.equal('the control bits', msix.control & 0xc000, bits);
    }
  }),
  ...(['address-low', 'address-high', 'data', 'mask'] as const).map((name, word) =>
    oneCase(`entry-keeps-${name}`, '4.1', `keeps the ${name.replace('-', ', ')} word of each entry`, (bench, pci) => {
      const msix = pci.requireMsix();
      const values = Array.from({ length: msix.size }, (_, vector) =>
        word === 3 ? vector & 1 : 0x1000 * (vector + 1),
      );
      for (const [vector, value] of values.entries()) msix.write(vector, word, value);
      for (const [vector, value] of values.entries())
        bench.equal(`the word of vector ${vector}`, msix.read(vector, word) & (word === 3 ? 1 : ~0), value);
      for (let vector = 0; vector < msix.size; vector++) msix.mask(vector, true);
    }),
  ),
  oneCase('pending-fixed', '4.1', 'keeps its pending bits where software writes to them', (bench, pci) => {
    const msix = pci.requireMsix();
    const { bar, offset } = msix.pendingBits;
    const registers = pci.pci.openBar(bar)!;
    registers.write(offset, 4, 0xffff_ffff);
    bench.equal('the pending bits', registers.read(offset, 4), 0);
  }),
];

/** Vectors that are mapped to events. */
const MAPPING_CASES: readonly PciCase[] = [
  ...(['config', 'queue'] as const).flatMap((event) => {
    const register = event === 'config' ? COMMON.configVector : COMMON.queueVector;
    return [
      oneCase(`${event}-any-vector`, VECTORS, `maps any vector to ${register.name}`, async (bench, pci) => {
        const { msix } = await startWithMessages(bench, pci);
        for (let vector = 0; vector < msix.size; vector++) {
          pci.write(COMMON.queueSelect, bench.ring().index);
          pci.write(register, vector);
          bench.equal(register.name, pci.read(register), vector);
        }
      }),
      oneCase(`${event}-unmapped`, VECTORS, `unmaps the vector of ${register.name}`, async (bench, pci) => {
        await startWithMessages(bench, pci);
        pci.write(COMMON.queueSelect, bench.ring().index);
        pci.write(register, 0);
        pci.write(register, NO_VECTOR);
        bench.equal(register.name, pci.read(register), NO_VECTOR);
      }),
      ...(['behind', '0x7ff', '0xfffe'] as const).map((which) =>
        oneCase(
          `${event}-no-vector-${which}`,
          VECTORS,
          `returns NO_VECTOR in ${register.name} for a vector that it does not have`,
          async (bench, pci) => {
            const { msix } = await startWithMessages(bench, pci);
            const vector = which === 'behind' ? msix.size : Number(which);
            if (vector < msix.size) bench.skip('it has that vector');
            pci.write(COMMON.queueSelect, bench.ring().index);
            pci.write(register, 0);
            pci.write(register, vector);
            bench.equal(register.name, pci.read(register), NO_VECTOR);
          },
          { isHostile: true },
        ),
      ),
    ];
  }),
  oneCase('queue-keeps-vector-when-disabled', VECTORS, 'keeps vectors while MSI-X is disabled', async (bench, pci) => {
    const { msix, last } = await startWithMessages(bench, pci);
    const { index } = bench.ring();
    pci.writeOf(index, COMMON.queueVector, last);
    msix.enable(false);
    msix.enable(true);
    bench.equal('queue_msix_vector', pci.readOf(index, COMMON.queueVector), last);
  }),
];

/** Which message comes, and when. */
const MESSAGE_CASES: readonly PciCase[] = [
  oneCase(
    'message',
    USED,
    'sends the message of the vector that is mapped to a queue, and no other',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      pci.writeOf(messages.ring.index, COMMON.queueVector, messages.last);
      bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages), `${messages.last}`);
    },
    ON_BOTH,
  ),
  oneCase(
    'message-of-vector-0',
    USED,
    'sends the message of vector 0 where that is mapped to a queue',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
      bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages), '0');
    },
  ),
  oneCase(
    'no-vector',
    USED,
    'sends no message for a queue that has no vector, and serves it',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      pci.write(COMMON.configVector, 0);
      for (let n = 0; n < 3; n++) await servesSilently(bench, messages, n);
    },
    ON_BOTH,
  ),
  oneCase('moved', USED, 'sends the messages of a vector that is mapped later', async (bench, pci) => {
    const messages = await startWithMessages(bench, pci);
    for (const vector of [0, messages.last, 0]) {
      pci.writeOf(messages.ring.index, COMMON.queueVector, vector);
      bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages), `${vector}`);
    }
  }),
  oneCase('unmapped-again', USED, 'sends no message once the vector of a queue was unmapped', async (bench, pci) => {
    const messages = await startWithMessages(bench, pci);
    pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
    await vectorsOfRequest(bench, messages);
    pci.writeOf(messages.ring.index, COMMON.queueVector, NO_VECTOR);
    await servesSilently(bench, messages, 1);
  }),
  oneCase(
    'shared-with-configuration',
    USED,
    'notifies of used buffers by a vector that it shares with the configuration',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      pci.write(COMMON.configVector, 0);
      pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
      for (let n = 0; n < 3; n++)
        bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages, n), '0');
    },
  ),
  oneCase('data', '4.1', 'sends all 32 bits of the data of an entry', async (bench, pci) => {
    const messages = await startWithMessages(bench, pci);
    pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
    messages.memory.receive(0, 0, 0x89ab_cdef);
    await bench.serve(bench.layOut(0));
    let data = 0;
    await bench.until('send a message', () => (data = messages.memory.take(0)) !== 0);
    bench.equal('the data of the message', data, 0x89ab_cdef);
  }),
  oneCase('address', '4.1', 'sends a message to the address that its entry has by now', async (bench, pci) => {
    const messages = await startWithMessages(bench, pci);
    pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
    await vectorsOfRequest(bench, messages);
    messages.memory.receive(0, messages.last, 7);
    await bench.serve(bench.layOut(1));
    let data = 0;
    await bench.until('send a message to the new address', () => (data = messages.memory.take(messages.last)) !== 0);
    bench.equal('the data of the message', data, 7);
  }),
  oneCase('disabled', USED, 'sends no message while MSI-X is disabled', async (bench, pci) => {
    const messages = await startWithMessages(bench, pci);
    pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
    messages.msix.enable(false);
    await servesSilently(bench, messages);
  }),
];

/** Serves a request whose message has to be pending. */
async function pends(bench: ConformBench, { msix }: Messages): Promise<void> {
  await bench.serve(bench.layOut(0));
  await bench.until('set the pending bit', () => msix.isPending(0));
}

/** Vectors and functions that are masked. */
const MASK_CASES: readonly PciCase[] = (['vector', 'function'] as const).flatMap((what) => {
  const mask = ({ msix }: Messages, isMasked: boolean): void => {
    if (what === 'vector') msix.mask(0, isMasked);
    else msix.enable(true, isMasked);
  };
  const masked = async (bench: ConformBench, pci: PciBench): Promise<Messages> => {
    const messages = await startWithMessages(bench, pci);
    pci.writeOf(messages.ring.index, COMMON.queueVector, 0);
    mask(messages, true);
    return messages;
  };
  return [
    oneCase(`${what}-masked`, '4.1', `sends no message while the ${what} is masked`, async (bench, pci) => {
      await servesSilently(bench, await masked(bench, pci));
    }),
    oneCase(`${what}-pending`, '4.1', `sets the pending bit where the ${what} is masked`, async (bench, pci) => {
      await pends(bench, await masked(bench, pci));
    }),
    oneCase(
      `${what}-unmasked`,
      '4.1',
      `sends the message that is pending once the ${what} is not masked`,
      async (bench, pci) => {
        const messages = await masked(bench, pci);
        await pends(bench, messages);
        mask(messages, false);
        await bench.until('send the message that was pending', () => messages.memory.take(0) !== 0);
      },
    ),
    oneCase(
      `${what}-pending-cleared`,
      '4.1',
      `clears the pending bit as it sends the message of a ${what}`,
      async (bench, pci) => {
        const messages = await masked(bench, pci);
        await pends(bench, messages);
        mask(messages, false);
        await bench.settle();
        bench.check(!messages.msix.isPending(0), 'the bit is set still');
      },
    ),
    oneCase(
      `${what}-unmasked-idle`,
      '4.1',
      `sends no message where a ${what} is unmasked with nothing pending`,
      async (bench, pci) => {
        const messages = await masked(bench, pci);
        mask(messages, false);
        await bench.settle();
        bench.equal('vectors whose messages came', messages.memory.takeAll().join(), '');
      },
    ),
    oneCase(
      `${what}-served-while-masked`,
      '4.1',
      `serves 20 requests while the ${what} is masked, and sends one message`,
      async (bench, pci) => {
        const messages = await masked(bench, pci);
        await bench.serveMany(20, 2);
        mask(messages, false);
        await bench.until('send a message', () => messages.memory.take(0) !== 0);
        bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages), '0');
      },
    ),
  ];
});

const OTHER_MASKS: readonly PciCase[] = [
  oneCase(
    'other-vector-masked',
    '4.1',
    'sends the message of one vector while another one is masked',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      pci.writeOf(messages.ring.index, COMMON.queueVector, messages.last);
      messages.msix.mask(0, true);
      bench.equal('vectors whose messages came', await vectorsOfRequest(bench, messages), `${messages.last}`);
    },
  ),
  oneCase(
    'pending-of-its-own',
    '4.1',
    'sets the pending bit of the vector that is masked, and no other',
    async (bench, pci) => {
      const messages = await startWithMessages(bench, pci);
      const { msix, last, ring } = messages;
      pci.writeOf(ring.index, COMMON.queueVector, last);
      msix.mask(last, true);
      await bench.serve(bench.layOut(0));
      await bench.until('set the pending bit', () => msix.isPending(last));
      if (last > 0) bench.check(!msix.isPending(0), 'the pending bit of vector 0 is set');
    },
  ),
];

/** Messages of several queues, and of a device that asks for a reset. */
const EVENT_CASES: readonly PciCase[] = [
  oneCase(
    'two-queues',
    USED,
    'sends the message of the queue that has a used buffer, of two with vectors of their own',
    async (bench, pci) => {
      bench.receiveBy(UNTAKEN);
      const msix = pci.messageVectors();
      await bench.start();
      const second =
        Array.from({ length: bench.device.queueCount }, (_, queue) => queue).find(
          (queue) => queue !== bench.ring().index && bench.requestOn(queue, 0) !== undefined,
        ) ?? bench.skip('it has no second queue with requests');
      if (msix.size < 2) bench.skip('it has one vector');
      await bench.start({ queues: [...new Set([...bench.enabled, second])] });
      const memory = new MessageMemory(bench, msix);
      const first = bench.ring().index;
      for (const queue of bench.enabled) pci.writeOf(queue, COMMON.queueVector, NO_VECTOR);
      for (const [queue, vector] of [
        [first, 0],
        [second, 1],
      ] as const)
        pci.writeOf(queue, COMMON.queueVector, vector);
      for (const [queue, vector] of [
        [first, 0],
        [second, 1],
        [first, 0],
      ] as const) {
        await bench.serve(bench.layOutRequest(bench.requestOn(queue, 0)!), {}, bench.ring(queue));
        await bench.settle();
        bench.equal(`vectors of a buffer of queue ${queue}`, memory.takeAll().join(), `${vector}`);
      }
    },
    ON_BOTH,
  ),
  oneCase(
    'failure',
    CHANGES,
    'sends the message of the configuration where it asks for a reset',
    async (bench, pci) => {
      const { ring, memory, last } = await startWithMessages(bench, pci);
      pci.write(COMMON.configVector, last);
      await failRing(bench, ring);
      bench.check(memory.takeAll().includes(last), 'it asks for a reset, and sent no message of the configuration');
    },
    { isHostile: true },
  ),
  oneCase(
    'failure-without-vector',
    CHANGES,
    'sends no message where it asks for a reset and the configuration has no vector',
    async (bench, pci) => {
      const { ring, memory } = await startWithMessages(bench, pci);
      await failRing(bench, ring);
      bench.equal('vectors whose messages came', memory.takeAll().join(), '');
    },
    { isHostile: true },
  ),
  oneCase(
    'failure-pending',
    CHANGES,
    'sets the pending bit of the configuration where it asks for a reset and is masked',
    async (bench, pci) => {
      const { ring, msix, last } = await startWithMessages(bench, pci);
      pci.write(COMMON.configVector, last);
      msix.mask(last, true);
      await failRing(bench, ring);
      bench.check(msix.isPending(last), 'the bit is clear');
    },
    { isHostile: true },
  ),
  oneCase(
    'address-nowhere',
    '4.1',
    'survives an entry whose address is nowhere',
    async (bench, pci) => {
      const { ring, msix } = await startWithMessages(bench, pci);
      pci.writeOf(ring.index, COMMON.queueVector, 0);
      msix.send(0, 0xffff_fff0, 0x7fff_ffff, 1);
      await bench.serve(bench.layOut(0));
    },
    { isHostile: true },
  ),
];

/** MSI-X (section 4.1.5.1.2, PCI local bus 3.0 section 6.8). */
export const PCI_MSIX_CASES: readonly PciCase[] = [
  ...TABLE_CASES,
  ...MAPPING_CASES,
  ...MESSAGE_CASES,
  ...MASK_CASES,
  ...OTHER_MASKS,
  ...EVENT_CASES,
];
