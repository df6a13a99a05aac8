import type { Mismatch } from '@virtio-platform/core';
import { findDifference } from '@virtio-platform/device-kit';
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE } from '../layout.ts';
import { checksum, hasRightChecksum } from '../offload/checksum.ts';
import type { NetHeader } from '../offload/net-header.ts';
import { IP_TCP, IPV4_HEADER, PacketLayers, readBig16, readBig32 } from '../offload/packet-layers.ts';
import { firstSequence, shapeOf, TEST_FLAGS, writeFrame, type TestFrame } from './test-frame.ts';

/** What is wrong with a frame that came back. */
export interface FrameFault {
  readonly kind: 'data' | 'length';
  readonly detail: string;
  readonly difference: Mismatch['difference'];
}

const FIN_AND_PSH = 0x09;
const CWR = 0x80;

/**
 * Compares frames that came back with what was sent: as it was sent, with its checksum, or as packets of the wire,
 * whose lengths, checksums, sequence numbers and flags have to agree with each other and with the data.
 */
export class FrameCheck {
  readonly #seed: number;
  readonly #expected: Uint8Array;
  readonly #layers: PacketLayers = new PacketLayers();
  /** The frame in `expected`, and how it is finished: many segments may be of one. */
  #frame: TestFrame | undefined;
  #isPartial = false;
  #wanted = 0;

  /** `longest`: bytes of the longest frame. */
  constructor(seed: number, longest: number) {
    this.#seed = seed;
    this.#expected = new Uint8Array(longest);
  }

  /**
   * Checks a frame of which `arrived` bytes of data came before. `fault` is what is wrong; `data` is how many bytes of
   * data came with it.
   */
  check(
    frame: TestFrame,
    bytes: Uint8Array,
    length: number,
    header: NetHeader,
    arrived: number,
  ): { readonly fault: FrameFault | undefined; readonly data: number } {
    const { offload } = frame;
    const isSegment = offload.gsoType !== VIRTIO_NET_HDR_GSO_NONE && header.gsoType === VIRTIO_NET_HDR_GSO_NONE;
    if (isSegment && frame.data > offload.gsoSize) return this.#checkSegment(frame, bytes, length, arrived);
    const isPartial = (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
    this.#prepare(frame, isPartial);
    return { fault: this.#compare(frame, bytes, length, this.#wanted, header), data: frame.data };
  }

  /** Writes the frame that is expected. */
  #prepare(frame: TestFrame, isPartial: boolean): void {
    if (this.#frame === frame && this.#isPartial === isPartial) return;
    this.#wanted = writeFrame(frame, this.#seed, this.#expected, isPartial);
    this.#frame = frame;
    this.#isPartial = isPartial;
  }

  #compare(
    { offload }: TestFrame,
    bytes: Uint8Array,
    length: number,
    wanted: number,
    header: NetHeader,
  ): FrameFault | undefined {
    if (length !== wanted) return lengthFault(length, wanted);
    const at = firstDifference(bytes, this.#expected, length);
    if (at >= 0) {
      const difference = findDifference(this.#expected.subarray(0, length), bytes.subarray(0, length))!;
      return {
        kind: 'data',
        detail: `byte ${at} is ${difference.actual} instead of ${difference.expected}`,
        difference,
      };
    }
    const isPartial = (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
    const isField =
      !isPartial ||
      (header.checksumStart === offload.checksumStart && header.checksumOffset === offload.checksumOffset);
    const isWhole = header.gsoType === VIRTIO_NET_HDR_GSO_NONE;
    const isCut = isWhole || (header.gsoType === offload.gsoType && header.gsoSize === offload.gsoSize);
    if (isField && isCut) return undefined;
    return dataFault(`the header has type ${header.gsoType}, size ${header.gsoSize}, and the checksum elsewhere`);
  }

  /** One of several packets of the wire. */
  #checkSegment(
    frame: TestFrame,
    bytes: Uint8Array,
    length: number,
    arrived: number,
  ): { readonly fault: FrameFault | undefined; readonly data: number } {
    const shape = shapeOf(frame);
    const data = Math.min(frame.offload.gsoSize, frame.data - arrived);
    const wanted = shape.data + data;
    if (length !== wanted) return { fault: lengthFault(length, wanted), data };
    this.#prepare(frame, true);
    for (let offset = shape.data; offset < wanted; offset++) {
      const expected = this.#expected[arrived + offset]!;
      const actual = bytes[offset]!;
      if (expected === actual) continue;
      const detail = `byte ${offset} of a segment is ${actual} instead of ${expected}`;
      return { fault: { kind: 'data', detail, difference: { offset, expected, actual } }, data };
    }
    const wrong = this.#wrongHeader(frame, bytes, length, arrived, data);
    return { fault: wrong === undefined ? undefined : dataFault(`a segment has ${wrong}`), data };
  }

  /** What is wrong with the headers of a segment. */
  #wrongHeader(frame: TestFrame, bytes: Uint8Array, length: number, arrived: number, data: number): string | undefined {
    const { network, transport } = shapeOf(frame);
    const index = arrived / frame.offload.gsoSize;
    if (firstDifference(bytes, this.#expected, network) >= 0) return 'another Ethernet header';
    const layers = this.#layers;
    layers.read(bytes, length);
    if (layers.transport !== transport || layers.protocol !== frame.protocol) return 'another protocol';
    if (frame.kind === 'ipv4') {
      if (readBig16(bytes, network + 2) !== length - network) return 'a wrong IP length';
      if (readBig16(bytes, network + 4) !== ((frame.number + index) & 0xffff)) return 'a wrong IP identification';
      if (checksum(bytes, network, IPV4_HEADER) !== 0) return 'a wrong IP checksum';
    } else if (readBig16(bytes, network + 4) !== length - transport) return 'a wrong IP length';
    if (!hasRightChecksum(bytes, layers, length)) return 'a wrong checksum';
    if (frame.protocol !== IP_TCP)
      return readBig16(bytes, transport + 4) === length - transport ? undefined : 'a wrong UDP length';
    if (readBig32(bytes, transport + 4) !== (firstSequence(frame.number) + arrived) >>> 0)
      return 'a wrong sequence number';
    const isLast = arrived + data === frame.data;
    const isEcn = (frame.offload.gsoType & CWR) !== 0 && arrived === 0;
    const flags = (isLast ? TEST_FLAGS : TEST_FLAGS & ~FIN_AND_PSH) | (isEcn ? CWR : 0);
    return bytes[transport + 13] === flags ? undefined : `TCP flags ${bytes[transport + 13]} instead of ${flags}`;
  }
}

function firstDifference(actual: Uint8Array, expected: Uint8Array, length: number): number {
  for (let i = 0; i < length; i++) if (actual[i] !== expected[i]) return i;
  return -1;
}

function lengthFault(length: number, wanted: number): FrameFault {
  return { kind: 'length', detail: `came back with ${length} bytes instead of ${wanted}`, difference: null };
}

function dataFault(detail: string): FrameFault {
  return { kind: 'data', detail, difference: null };
}
