import { defineWorkload, type DeviceTypePlugin, type WorkloadProblem, type WorkloadType } from '@virtio-platform/core';
import { echoWorkloads } from '@virtio-platform/device-kit';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { ETHERNET_HEADER, NET_LONGEST_PACKET, VLAN_TAG } from './layout.ts';
import { MixedWork, type MixedOptions } from './mixed/mixed-work.ts';
import type { NetDriver } from './net-driver.ts';
import type { NetSettings } from './net-settings.ts';
import { ReplayWork, type ReplayOptions } from './pcap/replay-work.ts';

/** Room for all headers of a frame, and some data. */
const LEAST_MIXED = 128;
/** An Ethernet header with one VLAN tag. */
const TAGGED_HEADER = ETHERNET_HEADER + VLAN_TAG;

/** What is wrong with frames of so many bytes, which have `header` bytes in front of an IP packet at most. */
function blockSizeProblem(
  blockSize: number,
  { mtu }: NetSettings,
  header: number = ETHERNET_HEADER,
): WorkloadProblem | undefined {
  const key = 'blockSize';
  if (blockSize < ETHERNET_HEADER || blockSize > NET_LONGEST_PACKET)
    return { key, message: `a packet has ${ETHERNET_HEADER} to ${NET_LONGEST_PACKET} bytes` };
  if (mtu === undefined || blockSize <= mtu + header) return undefined;
  return { key, message: `a packet of device.mtu ${mtu} has ${mtu + header} bytes at most` };
}

const mixed: WorkloadType<NetSettings, NetDriver, MixedOptions> = defineWorkload<NetSettings, NetDriver, MixedOptions>({
  summary: 'send frames and commands at random, and compare what comes back with a model of the device',
  options: z.strictObject({
    blockSize: byteSize({ minimum: LEAST_MIXED })
      .default(1514)
      .describe('Bytes of the longest frame that is given to the device; without it 1514.'),
    commands: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('How often a command comes before the next frames, 0 to 1; without it 0.1.'),
  }),
  bytes: ({ blockSize }) => blockSize,
  problem: (settings, { blockSize }) => blockSizeProblem(blockSize, { ...settings, mtu: undefined }),
  recovers: false,
  open: (driver: NetDriver, context) => new MixedWork(driver, context),
});

const replay: WorkloadType<NetSettings, NetDriver, ReplayOptions> = defineWorkload<
  NetSettings,
  NetDriver,
  ReplayOptions
>({
  summary: 'send the frames of a pcap file, compare what comes back, and write it to another',
  options: z.strictObject({
    input: z.string().min(1).describe('The pcap file whose frames are sent, relative to this profile.'),
    output: z
      .string()
      .min(1)
      .optional()
      .describe('The pcap file to which received frames are written, relative to this profile; it is overwritten.'),
    blockSize: byteSize({ minimum: ETHERNET_HEADER })
      .default(1518)
      .describe('Bytes of the longest frame; without it 1518.'),
  }),
  paths: ['input', 'output'],
  bytes: ({ blockSize }) => blockSize,
  problem(settings, { input, output, blockSize }) {
    if (input === output) return { key: 'output', message: 'would overwrite workload.input' };
    return blockSizeProblem(blockSize, settings, TAGGED_HEADER);
  },
  recovers: false,
  open: (driver: NetDriver, context) => new ReplayWork(driver, context),
});

/** The workloads of a network device. */
export const NET_WORKLOADS: DeviceTypePlugin<NetSettings, NetDriver>['workloads'] = {
  ...echoWorkloads<NetSettings>({
    least: ETHERNET_HEADER,
    problem: (blockSize, settings) => blockSizeProblem(blockSize, settings),
  }),
  mixed,
  pcap: replay,
};
