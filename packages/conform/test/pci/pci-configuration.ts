/** Where the capabilities are in configuration space. */
export const CAPABILITY = {
  msix: 0x40,
  express: 0x4c,
  common: 0x70,
  isr: 0x80,
  device: 0x90,
  notify: 0xa0,
  window: 0xb4,
} as const;

/** Where the structures are in base address register 4. */
export const STRUCTURE = {
  common: { type: 1, offset: 0x0000, bytes: 0x40 },
  isr: { type: 3, offset: 0x1000, bytes: 4 },
  device: { type: 4, offset: 0x2000, bytes: 0x60 },
  notify: { type: 2, offset: 0x3000, bytes: 0x100 },
} as const;

/** Of the express capability: device capabilities with FLR, and the control that starts it. */
const FLR = 0x1000_0000;
const INITIATE = 0x8000;
const EXPRESS_CONTROL = 8;

/** The configuration space of a function, in which the bits of its masks are written. */
export class Configuration {
  readonly bytes: DataView = new DataView(new ArrayBuffer(256));
  readonly mask: DataView = new DataView(new ArrayBuffer(256));

  get command(): number {
    return this.bytes.getUint16(0x04, true);
  }

  /** The control register of MSI-X. */
  get control(): number {
    return this.bytes.getUint16(CAPABILITY.msix + 2, true);
  }

  /** What the window of the configuration capability is on. */
  get window(): { readonly bar: number; readonly at: number; readonly length: number } {
    const { bytes } = this;
    return {
      bar: bytes.getUint8(CAPABILITY.window + 4),
      at: bytes.getUint32(CAPABILITY.window + 8, true),
      length: bytes.getUint32(CAPABILITY.window + 12, true),
    };
  }

  setWindowData(length: number, value: number): void {
    for (let i = 0; i < length; i++)
      this.bytes.setUint8(CAPABILITY.window + 16 + i, Math.floor(value / 2 ** (8 * i)) & 0xff);
  }

  read(offset: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.bytes.getUint8(offset + i);
    return value;
  }

  write(offset: number, width: number, value: number): void {
    for (let i = 0; i < width; i++) {
      const mask = this.mask.getUint8(offset + i);
      const byte = Math.floor(value / 2 ** (8 * i)) & mask;
      this.bytes.setUint8(offset + i, (this.bytes.getUint8(offset + i) & ~mask) | byte);
    }
  }

  /** Whether a reset of the function was asked for since the last call. */
  takeFunctionReset(): boolean {
    const at = CAPABILITY.express + EXPRESS_CONTROL;
    const control = this.bytes.getUint16(at, true);
    this.bytes.setUint16(at, control & ~INITIATE, true);
    return (control & INITIATE) !== 0;
  }
}

/** The configuration of a transitional block device with `vectors` vectors. */
export function buildConfiguration(vectors: number, multiplier: number): Configuration {
  const configuration = new Configuration();
  const { bytes, mask } = configuration;
  let last = 0x34;
  const capability = (id: number, at: number, length: number): void => {
    bytes.setUint8(last, at);
    bytes.setUint8(at, id);
    if (id === 9) bytes.setUint8(at + 2, length);
    last = at + 1;
  };
  const ids: readonly (readonly [at: number, value: number])[] = [
    [0x00, 0x1af4],
    [0x02, 0x1001],
    [0x04, 7],
    [0x06, 0x10],
    [0x0a, 0x0100],
    [0x2c, 0x1af4],
    [0x2e, 2],
  ];
  for (const [at, value] of ids) bytes.setUint16(at, value, true);
  bytes.setUint8(0x3d, 1);
  mask.setUint16(0x04, 0x0407, true);
  mask.setUint8(0x3c, 0xff);
  capability(0x11, CAPABILITY.msix, 12);
  bytes.setUint16(CAPABILITY.msix + 2, vectors - 1, true);
  bytes.setUint32(CAPABILITY.msix + 4, 1, true);
  bytes.setUint32(CAPABILITY.msix + 8, 0x801, true);
  mask.setUint16(CAPABILITY.msix + 2, 0xc000, true);
  capability(0x10, CAPABILITY.express, 20);
  bytes.setUint32(CAPABILITY.express + 4, FLR, true);
  mask.setUint16(CAPABILITY.express + EXPRESS_CONTROL, 0xffff, true);
  for (const [name, { type, offset, bytes: length }] of Object.entries(STRUCTURE)) {
    const at = CAPABILITY[name as keyof typeof STRUCTURE];
    capability(9, at, name === 'notify' ? 20 : 16);
    bytes.setUint8(at + 3, type);
    bytes.setUint8(at + 4, 4);
    bytes.setUint32(at + 8, offset, true);
    bytes.setUint32(at + 12, length, true);
  }
  bytes.setUint32(CAPABILITY.notify + 16, multiplier, true);
  const { window } = CAPABILITY;
  capability(9, window, 20);
  bytes.setUint8(window + 3, 5);
  mask.setUint8(window + 4, 0xff);
  for (let i = 8; i < 20; i++) mask.setUint8(window + i, 0xff);
  return configuration;
}
