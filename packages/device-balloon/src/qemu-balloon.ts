import { CodedError, type QemuDevice } from '@virtio-platform/core';
import type { BalloonSettings } from './balloon-settings.ts';

/** Milliseconds of the unit in which QEMU counts. */
const SECOND = 1000;

/**
 * How QEMU makes a memory balloon: `virtio-balloon-pci` with what it can have. Its target changes by the command
 * `balloon` of its monitor, and it asks for hints while it migrates.
 */
export const qemuBalloon: QemuDevice<BalloonSettings> = {
  arguments({ targets, interval, statistics, hints }) {
    if (targets.length > 0 || interval > 0) {
      throw new CodedError('ERR_MACHINE_DEVICE', 'the balloon of QEMU has no targets of its own', {
        hint: 'leave targets and interval out, and set the target by the command balloon of a monitor (-qmp)',
      });
    }
    if (statistics % SECOND !== 0) {
      throw new CodedError(
        'ERR_MACHINE_DEVICE',
        `QEMU asks for statistics in whole seconds, not each ${statistics}ms`,
        {
          hint: 'set device.statistics to 1s or more, or leave it out',
        },
      );
    }
    const device = {
      driver: 'virtio-balloon-pci',
      id: 'balloon',
      'deflate-on-oom': true,
      'free-page-reporting': true,
      'guest-stats-polling-interval': statistics / SECOND,
    };
    if (!hints) return { device };
    return {
      before: ['-object', 'iothread,id=hints'],
      device: { ...device, 'free-page-hint': true, iothread: 'hints' },
    };
  },
};
