/** A count with a comma after each three digits. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}

/** A count with its noun: `1 fault`, `2 faults`. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${formatCount(value)} ${value === 1 ? noun : many}`;
}

/** A time in microseconds, with three digits that count: `12.3 µs`, `1.20 ms`. */
export function formatTime(micros: number): string {
  const units = [
    [1e6, 's'],
    [1e3, 'ms'],
    [1, 'µs'],
  ] as const;
  const [size, unit] = units.find(([each]) => micros >= each * 0.9995) ?? [1, 'µs'];
  const value = micros / size;
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

/** Bytes in the largest unit of 1,024 in which they are at least 1: `4 KiB`, `1.5 MiB`. */
export function formatBytes(value: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let at = 0;
  let size = value;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at++;
  }
  if (at === 0) return value === 1 ? '1 byte' : `${value} bytes`;
  return `${Number.isInteger(size) ? size : size.toFixed(size < 10 ? 2 : 1)} ${units[at]}`;
}

/** An address: `0x1f000`. */
export function formatAddress(address: number | bigint): string {
  return `0x${address.toString(16)}`;
}
