import { DeviceLoop, NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { Keyboard } from '../src/index.js';
import { CFG_ID_NAME, EVENT_BYTES, EVENT_QUEUE, eventOf, INPUT_CONFIG } from '../src/layout.js';

const SETTINGS = { name: 'keys', text: 'ab', interval: 0 };

/** The bytes of an event. */
function bytesOf({ type, code, value }) {
  return [type & 0xff, type >> 8, code & 0xff, code >> 8, value, 0, 0, 0];
}

describe('the keyboard', () => {
  it('types its text by itself, an event to each buffer', async () => {
    const keyboard = new Keyboard(SETTINGS, 'little');
    const rings = new DeviceLoop(keyboard, FeatureSet.of(VIRTIO_F_VERSION_1));
    for (let i = 0; i < 8; i++) rings.add(EVENT_QUEUE, [], EVENT_BYTES);
    const came = [];
    await new Promise((resolve) => {
      keyboard.connect({
        queueChanged() {
          came.push(...rings.take(EVENT_QUEUE));
          if (came.length === 8) resolve();
        },
        configChanged() {},
      });
    });
    expect(came).toEqual(Array.from({ length: 8 }, (_, i) => bytesOf(eventOf('ab', i))));
    expect(rings.end()).toEqual(NOTHING_LEFT);
  });

  it('answers for what is selected', () => {
    const keyboard = new Keyboard(SETTINGS, 'little');
    const { select, size, u } = INPUT_CONFIG;
    keyboard.writeConfig(select.offset, Uint8Array.of(CFG_ID_NAME));
    expect(keyboard.config[size.offset]).toBe(4);
    expect(new TextDecoder().decode(keyboard.config.subarray(u.offset, u.offset + 4))).toBe('keys');
    keyboard.writeConfig(select.offset, Uint8Array.of(0x7f));
    expect(keyboard.config[size.offset]).toBe(0);
  });
});
