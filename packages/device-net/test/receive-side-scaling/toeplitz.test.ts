import { toeplitz } from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';

/** The key of "Verifying the RSS Hash Calculation" (Microsoft, Windows driver documentation). */
const KEY = Uint8Array.from(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa'.match(/../g)!,
  (byte) => Number.parseInt(byte, 16),
);

const ipv4 = (text: string): number[] => text.split('.').map(Number);
const port = (number: number): number[] => [number >> 8, number & 0xff];

const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));

/** Eight groups of 16 bits. */
function ipv6(text: string): number[] {
  const [front = '', back = ''] = text.split('::');
  const missing = 8 - groups(front).length - groups(back).length;
  const all = [...groups(front), ...Array.from({ length: missing }, () => '0'), ...groups(back)];
  return all.flatMap((group) => port(Number.parseInt(group, 16)));
}

/** Source, destination, ports, the hash of the addresses, and of addresses and ports: the table of that page. */
const IPV4 = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e_8fc2, 0x51cc_c178],
  ['199.92.111.2', 14_230, '65.69.140.83', 4739, 0xd718_262a, 0xc626_b0ea],
  ['24.19.198.95', 12_898, '12.22.207.184', 38_024, 0xd2d0_a5de, 0x5c2b_394a],
  ['38.27.205.30', 48_228, '209.142.163.6', 2217, 0x8298_9176, 0xafc7_327f],
  ['153.39.163.191', 44_251, '202.188.127.2', 1303, 0x5d18_09c5, 0x10e8_28a2],
] as const;
const IPV6 = [
  ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x2cc1_8cd5, 0x4020_7d3d],
  ['3ffe:501:8::260:97ff:fe40:efab', 14_230, 'ff02::1', 4739, 0x0f0c_461c, 0xdde5_1bbf],
  ['3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44_251, 'fe80::200:f8ff:fe21:67cf', 38_024, 0x4b61_e985, 0x02d1_feef],
] as const;

describe('the Toeplitz hash', () => {
  it.each([...IPV4.map((row) => [ipv4, ...row] as const), ...IPV6.map((row) => [ipv6, ...row] as const)])(
    'is that of the RSS document: %# %s',
    (parse, source, sourcePort, destination, destinationPort, ofAddresses, withPorts) => {
      const addresses = [...parse(source), ...parse(destination)];
      const all = Uint8Array.from([...addresses, ...port(sourcePort), ...port(destinationPort)]);
      expect(toeplitz(KEY, all, addresses.length)).toBe(ofAddresses);
      expect(toeplitz(KEY, all, all.length)).toBe(withPorts);
    },
  );

  it('goes on with zeros behind a short key, and is 0 without one', () => {
    const input = Uint8Array.of(0xff, 0xff, 0xff);
    expect(toeplitz(new Uint8Array(0), input, 3)).toBe(0);
    const short = Uint8Array.of(1, 2, 3, 4, 5);
    expect(toeplitz(short, input, 3)).toBe(toeplitz(Uint8Array.from([...short, 0, 0, 0]), input, 3));
  });
});
