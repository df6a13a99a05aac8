import { defineDeviceType } from '@virtio-platform/core';
import consoleType, { ConsoleDevice, type ConsoleDriver, type ConsoleSettings } from '@virtio-platform/device-console';

/** What the device does instead of what the settings say, by the number of columns that it is given. */
const LIES: readonly ((settings: ConsoleSettings) => Partial<ConsoleSettings>)[] = [
  () => ({}),
  ({ ports }) => ({ ports: ports.map((port) => ({ ...port, name: 'another' })) }),
  ({ ports }) => ({ ports: ports.map((port) => ({ ...port, console: true })) }),
  ({ changes }) => ({ changes: changes.filter(({ remove }) => remove === undefined) }),
  ({ changes }) => ({ changes: changes.filter(({ add }) => add === undefined) }),
  ({ changes }) => ({ changes: changes.filter(({ resize }) => resize === undefined) }),
  ({ changes }) => ({
    changes: changes.map((change) => (change.resize ? { ...change, resize: { ...change.resize, rows: 9 } } : change)),
  }),
  ({ changes }) => ({ changes: [...changes, { after: 20, add: { id: 4, console: false } }] }),
  ({ changes }) => ({ changes: [...changes, { after: 20, remove: 1 }] }),
  ({ changes }) => ({ changes: [...changes, { after: 20, close: 1 }] }),
];

/** A console that is not as its settings say. */
export default defineDeviceType<ConsoleSettings, ConsoleDriver>({
  ...consoleType,
  model(settings, byteOrder) {
    const lie = LIES[settings.columns - 1]!(settings);
    return new ConsoleDevice({ ...settings, ...lie, maxPorts: 5, queueSize: 64, byteOrder });
  },
});
