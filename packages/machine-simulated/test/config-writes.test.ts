import block, { BLOCK_SETTINGS } from '@virtio-platform/device-block';
import console, { CONSOLE_CONFIG, ConsoleDevice } from '@virtio-platform/device-console';
import type { DeviceModel } from '@virtio-platform/core';
import { DeviceStatus } from '@virtio-platform/core/device';
import { VIRTIO_F_SUSPEND } from '@virtio-platform/core/features';
import { ringFeatures } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import { openSimulatedDevice } from './open-simulated-device.ts';

const { Acknowledge, Driver, FeaturesOk, DriverOk, Suspend, NeedsReset } = DeviceStatus;
const RUNS = Acknowledge | Driver | FeaturesOk | DriverOk;
const { offset, width } = CONSOLE_CONFIG.emerg_wr;

function openConsole() {
  const model = new ConsoleDevice({ columns: 80, rows: 25, ports: 1, queueSize: 32, byteOrder: 'little' });
  const features = ringFeatures('split', VIRTIO_F_SUSPEND);
  const { device } = openSimulatedDevice(model, features, console);
  device.writeStatus(Acknowledge | Driver);
  device.writeFeatures(features);
  device.writeStatus(Acknowledge | Driver | FeaturesOk);
  return { model, device };
}

describe('a write of the configuration', () => {
  it('reaches the device half where it is a whole field that may be written', () => {
    const { model, device } = openConsole();
    for (const character of Buffer.from('panic')) device.writeConfig(offset, Uint8Array.of(character, 0, 0, 0));
    expect(model.emergency).toBe('panic');
  });

  it.each([
    ['a part of the field', offset, 1],
    ['its last byte', offset + width - 1, 1],
    ['no byte', offset, 0],
    ['more than the field', offset, width + 1],
    ['the field and the one before it', CONSOLE_CONFIG.max_nr_ports.offset, 8],
    ['bytes of two fields', offset - 1, width],
    ['bytes behind the configuration', offset + width, width],
    ['bytes far behind it', 0xffff_fffc, width],
    ['a field that only the device writes', CONSOLE_CONFIG.max_nr_ports.offset, CONSOLE_CONFIG.max_nr_ports.width],
    ['another such field', CONSOLE_CONFIG.cols.offset, CONSOLE_CONFIG.cols.width],
  ])('is ignored where it is %s', (_, at, length) => {
    const { model, device } = openConsole();
    const before = [...model.config];
    device.writeConfig(at, new Uint8Array(length).fill(0x41));
    expect([model.emergency, [...model.config], device.status & NeedsReset]).toEqual(['', before, 0]);
  });

  it('V52 is ignored while the device is suspended, and not after', () => {
    const { model, device } = openConsole();
    device.writeStatus(RUNS);
    device.writeStatus((RUNS & ~DriverOk) | Suspend);
    expect(device.status & Suspend).toBe(Suspend);
    device.writeConfig(offset, Uint8Array.of(0x41, 0, 0, 0));
    expect(model.emergency).toBe('');
    device.writeStatus(RUNS);
    device.writeConfig(offset, Uint8Array.of(0x42, 0, 0, 0));
    expect(model.emergency).toBe('B');
  });

  it('is ignored by a device half that takes none, also of a field that its type may have writable', () => {
    const model: DeviceModel = block.model(BLOCK_SETTINGS.parse({ writeback: false }), 'little');
    Object.defineProperty(model, 'writeConfig', { value: undefined });
    const { device } = openSimulatedDevice(model, ringFeatures('split'), block);
    const { writeback } = block.config;
    expect(writeback?.isWritable).toBe(true);
    device.writeConfig(writeback!.offset, Uint8Array.of(1));
    expect([model.config[writeback!.offset], device.status]).toEqual([0, 0]);
  });
});
