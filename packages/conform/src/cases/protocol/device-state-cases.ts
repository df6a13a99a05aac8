import { BOTH_LAYOUTS, type ConfigField, returnsNothing } from '@virtio-platform/core';
import { configPayload, payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import { protocolCase, type ProtocolCase, protocolCases, speaks } from '../../protocol/protocol-case.ts';

const hasConfig = [speaks('CONFIG')];
const hasStatus = [speaks('STATUS')];
const hasReset = [speaks('RESET_DEVICE')];
/** Bytes in front of the configuration, in its messages. */
const CONFIG_HEADER = 12;
/** Device status of a driver that has set DRIVER_OK, in steps: ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK. */
const STEPS = [1, 3, 11, 15] as const;

/** Reads `size` bytes of the configuration from `offset` on. */
function readConfig(bench: ProtocolBench, offset: number, size: number, flags = 0): Buffer {
  const request = configPayload(offset, new Uint8Array(size), flags);
  const answer = bench.frontEnd.ask('GET_CONFIG', request, CONFIG_HEADER + size);
  return Buffer.from(answer.buffer, CONFIG_HEADER, size);
}

/** The fields of the configuration that the device has, and how long all of them are. */
function fieldsOf({ offer, configTable }: ProtocolBench): { readonly fields: readonly ConfigField[]; size: number } {
  const fields = Object.values(configTable).filter(({ feature }) => {
    return feature === undefined || [feature].flat().some((bit) => offer.features.has(bit));
  });
  return { fields, size: Math.max(0, ...fields.map(({ offset, width }) => offset + width)) };
}

/** Negotiates, and returns the fields; ends the case where there are none. */
function greetForConfig(bench: ProtocolBench): ReturnType<typeof fieldsOf> {
  bench.greet();
  const found = fieldsOf(bench);
  if (found.size === 0) bench.skip('the device type has no configuration');
  return found;
}

/** Sets up a driver that tells its status at each step. */
function startWithStatus(bench: ProtocolBench): void {
  bench.greet({ accept: ['REPLY_ACK', 'STATUS'] });
  for (const status of STEPS.slice(0, 3)) bench.tell('SET_STATUS', payloadOf(BigInt(status)));
  bench.share();
  bench.startQueues();
  bench.tell('SET_STATUS', payloadOf(BigInt(STEPS[3])));
}

/** The configuration, the status, and resets. */
export const DEVICE_STATE_CASES: readonly ProtocolCase[] = [
  ...protocolCases({ needs: hasConfig }, [
    {
      id: 'vhost-user/config-size',
      clause: 'vhost-user: GET_CONFIG',
      title: 'answers GET_CONFIG with as many bytes as it was asked for',
      run: (bench) => {
        const { size } = greetForConfig(bench);
        for (const bytes of [1, 4, size]) readConfig(bench, 0, bytes);
      },
    },
    {
      id: 'vhost-user/config-range',
      clause: 'vhost-user: GET_CONFIG',
      title: 'answers with the bytes at the offset that it was asked for',
      run: (bench) => {
        const { fields, size } = greetForConfig(bench);
        const whole = readConfig(bench, 0, size);
        for (const { offset, width } of fields) {
          const part = readConfig(bench, offset, width).toString('hex');
          const right = whole.subarray(offset, offset + width).toString('hex');
          bench.check(
            part === right,
            `bytes ${offset} to ${offset + width - 1} are ${part}, and ${right} in the whole`,
          );
        }
      },
    },
    {
      id: 'vhost-user/config-echo',
      clause: 'vhost-user: Virtio device config space',
      title: 'answers GET_CONFIG with the offset and the size of the request',
      run: (bench) => {
        const { size } = greetForConfig(bench);
        const answer = bench.frontEnd.ask('GET_CONFIG', configPayload(0, new Uint8Array(size)), CONFIG_HEADER + size);
        bench.equal('the offset', answer.getUint32(0, true), 0);
        bench.equal('the size', answer.getUint32(4, true), size);
      },
    },
    {
      id: 'vhost-user/config-stays',
      clause: 'vhost-user: GET_CONFIG',
      title: 'has the same configuration while rings run',
      run: async (bench) => {
        const { size } = greetForConfig(bench);
        const before = readConfig(bench, 0, size);
        bench.share();
        bench.startQueues();
        await bench.serve(2);
        const after = readConfig(bench, 0, size);
        const at = before.findIndex((byte, i) => after[i] !== byte);
        bench.check(at < 0, `byte ${at} of the configuration is ${after[at]}, and was ${before[at]}`);
      },
    },
    {
      id: 'vhost-user/config-read-only',
      clause: 'vhost-user: SET_CONFIG',
      title: 'lets no driver write a field that is read-only',
      isHostile: true,
      run: (bench) => {
        const { fields, size } = greetForConfig(bench);
        const field = fields.find(({ isWritable }) => isWritable !== true);
        if (field === undefined) throw bench.skip('every field may be written');
        const before = readConfig(bench, 0, size);
        const { offset, width } = field;
        const changed = before.subarray(offset, offset + width).map((byte) => byte ^ 0xff);
        bench.defy('SET_CONFIG', configPayload(offset, changed));
        const after = readConfig(bench, 0, size);
        bench.check(before.equals(after), `a driver wrote ${width} bytes at ${offset}, and reads what it wrote`);
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/status',
    clause: 'vhost-user: GET_STATUS',
    title: 'answers GET_STATUS with the bits that the driver set, step by step',
    needs: hasStatus,
    run: (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'STATUS'] });
      for (const status of STEPS.slice(0, 3)) {
        bench.tell('SET_STATUS', payloadOf(BigInt(status)));
        bench.equal('the status', bench.frontEnd.askU64('GET_STATUS') & 0xffn, BigInt(status));
      }
    },
  }),
  ...protocolCases({ clause: 'vhost-user: SET_STATUS', needs: hasStatus }, [
    {
      id: 'vhost-user/status-serves',
      title: 'serves a driver that tells its status',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        startWithStatus(bench);
        await bench.serve(3);
      },
    },
    {
      id: 'vhost-user/status-0',
      title: 'is reset by a status of 0, and then serves a driver that starts again',
      run: async (bench) => {
        for (let n = 0; n < 2; n++) {
          await bench.connect();
          startWithStatus(bench);
          await bench.serve();
          for (const queue of bench.queues) bench.stop(queue);
          bench.tell('SET_STATUS', payloadOf(0n));
          bench.equal('the status after a reset', bench.frontEnd.askU64('GET_STATUS'), 0n);
        }
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/reset-device',
    clause: 'vhost-user: RESET_DEVICE',
    title: 'disables its rings at RESET_DEVICE, and is ready to be set up again on the connection',
    layouts: BOTH_LAYOUTS,
    needs: hasReset,
    run: async (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'RESET_DEVICE'] });
      bench.share();
      for (let n = 0; n < 3; n++) {
        const ring = bench.startQueues();
        await bench.serve(2);
        bench.tell('RESET_DEVICE');
        bench.synchronise();
        ring.give(bench.layOut(3).segments);
        await returnsNothing(bench, ring, 'it returned a buffer after RESET_DEVICE');
        for (const queue of bench.queues) bench.stop(queue);
      }
    },
  }),
];
