import { pseudoHeaderSum, PacketLayers, writeBig16, checksum } from '@virtio-platform/device-net';

/** What a test frame is made of. */
export interface FrameParts {
  readonly version?: 4 | 6;
  readonly protocol?: 'tcp' | 'udp';
  readonly payload: number;
  readonly vlan?: number;
  readonly destination?: readonly number[];
  /** Flags of TCP. */
  readonly flags?: number;
  readonly id?: number;
}

/** Where a frame has what. */
export interface TestFrame {
  readonly bytes: Uint8Array;
  readonly layers: PacketLayers;
}

/** A frame whose checksum field has the sum of the pseudo-header, as with NEEDS_CSUM. */
export function testFrame(parts: FrameParts): TestFrame {
  const {
    version = 4,
    protocol = 'tcp',
    payload,
    vlan,
    destination = [2, 0, 0, 0, 0, 1],
    flags = 0x18,
    id = 7,
  } = parts;
  const link = [...destination, 2, 0, 0, 0, 0, 2];
  const tag = vlan === undefined ? [] : [0x81, 0, vlan >> 8, vlan & 0xff];
  const isTcp = protocol === 'tcp';
  const transportBytes = (isTcp ? 20 : 8) + payload;
  const number = isTcp ? 6 : 17;
  const total = [(20 + transportBytes) >> 8, (20 + transportBytes) & 0xff];
  const ipv4 = [0x45, 0].concat(total, [id >> 8, id & 0xff, 0x40, 0, 64, number, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
  const ipv6 = [0x60, 0, 0, 0, transportBytes >> 8, transportBytes & 0xff, number, 64].concat(
    Array.from({ length: 32 }, (_, i) => i + 1),
  );
  const ip = version === 4 ? ipv4 : ipv6;
  const transport = isTcp
    ? [0x12, 0x34, 0, 80, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, flags, 0x20, 0, 0, 0, 0, 0]
    : [0x12, 0x34, 0, 53, transportBytes >> 8, transportBytes & 0xff, 0, 0];
  const head = [...link, ...tag, ...(version === 4 ? [8, 0] : [0x86, 0xdd]), ...ip, ...transport];
  const bytes = Uint8Array.from([...head, ...Array.from({ length: payload }, (_, i) => (i * 7 + (i >> 8)) & 0xff)]);
  const layers = new PacketLayers();
  layers.read(bytes, bytes.length);
  if (version === 4) writeBig16(bytes, layers.network + 10, checksum(bytes, layers.network, 20));
  const at = layers.transport + (isTcp ? 16 : 6);
  writeBig16(bytes, at, pseudoHeaderSum(bytes, layers, bytes.length - layers.transport));
  return { bytes, layers };
}
