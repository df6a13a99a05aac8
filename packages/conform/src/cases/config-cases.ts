import {
  bareCase,
  type ConfigField,
  type ConformBench,
  type ConformCase,
  isCodedError,
  startedCase,
  startedCases,
} from '@virtio-platform/core';
import { greetDevice } from '@virtio-platform/core/device';

const READS = '2.5.3';

/** The fields that the device has, by name. */
function fieldsOf(bench: ConformBench): readonly (readonly [string, ConfigField])[] {
  return Object.entries(bench.configTable).filter(([, { feature }]) => {
    if (feature === undefined) return true;
    return [feature].flat().some((bit) => bench.device.offered.has(bit));
  });
}

function read({ transport }: ConformBench, offset: number, width: number): Buffer {
  const bytes = new Uint8Array(width);
  transport.readConfig(offset, bytes);
  return Buffer.from(bytes);
}

/** Reads a field in accesses of `width` bytes. */
function readBy(bench: ConformBench, { offset, width: whole }: ConfigField, width: number): Buffer {
  const parts = Array.from({ length: whole / width }, (_, i) => read(bench, offset + i * width, width));
  return Buffer.concat(parts);
}

/** The configuration space (specification 1.4 section 2.5). */
export const CONFIG_CASES: readonly ConformCase[] = [
  bareCase({
    id: 'config/before-features-ok',
    clause: READS,
    title: 'has every field before FEATURES_OK as it has it after DRIVER_OK, unless it tells of a change',
    run: async (bench) => {
      const fields = fieldsOf(bench);
      if (fields.length === 0) bench.skip('the device type has no configuration');
      await bench.reset();
      greetDevice(bench.transport);
      const generation = bench.transport.configGeneration();
      const before = fields.map(([, { offset, width }]) => read(bench, offset, width));
      await bench.start();
      for (const [i, [name, { offset, width, isWritable }]] of fields.entries()) {
        if (isWritable === true) continue;
        const after = read(bench, offset, width);
        if (!after.equals(before[i]!)) await bench.settle();
        // A balloon asks for hints once its driver is there.
        if (bench.transport.configGeneration() !== generation) return;
        bench.equal(`${name} after DRIVER_OK`, after.toString('hex'), before[i]!.toString('hex'));
      }
    },
  }),
  ...[1, 2, 4].map((width): ConformCase => ({
    id: `config/width-${8 * width}`,
    clause: '2.5.1',
    level: 'MUST',
    title: `has the same bytes where a field is read by ${8 * width} bits`,
    run: async (bench) => {
      await bench.start();
      const wide = fieldsOf(bench).filter(([, field]) => field.width > width && field.width % width === 0);
      if (wide.length === 0) bench.skip(`the device has no field wider than ${8 * width} bits`);
      for (const [name, field] of wide) {
        const whole = read(bench, field.offset, field.width).toString('hex');
        bench.equal(`${name}, read by ${8 * width} bits,`, readBy(bench, field, width).toString('hex'), whole);
      }
    },
  })),
  startedCase({
    id: 'config/generation-stays',
    clause: '2.5.1',
    level: 'SHOULD',
    title: 'keeps the generation while nothing changes',
    run: async (bench) => {
      const before = bench.transport.configGeneration();
      for (const [, { offset, width }] of fieldsOf(bench)) read(bench, offset, width);
      await bench.serveMany(4, 2);
      bench.equal('the generation', bench.transport.configGeneration(), before);
    },
  }),
  ...startedCases({ clause: '2.5', isHostile: true }, [
    {
      id: 'config/reads-behind-the-end',
      title: 'survives reads behind the fields of its type',
      run: (bench) => {
        for (const offset of [60, 128, 240]) {
          try {
            read(bench, offset, 4);
          } catch (error) {
            // A back-end that refuses a message does not end the conversation.
            if (!(error instanceof RangeError) && !(isCodedError(error) && error.code === 'ERR_DEVICE_CONFIG'))
              throw error;
          }
        }
      },
    },
    {
      id: 'config/write-to-read-only',
      title: 'keeps fields that a driver may not write, and serves',
      run: async (bench) => {
        const fields = fieldsOf(bench).filter(([, { isWritable }]) => isWritable !== true);
        const before = fields.map(([, { offset, width }]) => read(bench, offset, width).toString('hex'));
        for (const [, { offset, width }] of fields)
          bench.transport.writeConfig(offset, new Uint8Array(width).fill(0x5a));
        for (const [i, [name, { offset, width }]] of fields.entries())
          bench.equal(name, read(bench, offset, width).toString('hex'), before[i]!);
        await bench.serve(bench.layOut(0));
      },
    },
  ]),
];
