import type { ConfigTable, DeviceModel } from '@virtio-platform/core';
import { CONFIG_HEADER_BYTES, decodeConfigHeader } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';

/**
 * The answer to GET_CONFIG: bytes that the device does not have are zeros, as on other transports. Throws
 * {@link FrontEndViolation}.
 */
export function readConfig({ config }: DeviceModel, payload: DataView): Uint8Array {
  const { offset, size } = decodeConfigHeader(payload);
  const answer = new Uint8Array(payload.byteLength);
  if (size !== answer.length - CONFIG_HEADER_BYTES)
    throw new FrontEndViolation(`asks for ${size} bytes of configuration in a message of ${answer.length} bytes`);
  for (let i = 0; i < CONFIG_HEADER_BYTES; i++) answer[i] = payload.getUint8(i);
  answer.set(config.subarray(offset, offset + size), CONFIG_HEADER_BYTES);
  return answer;
}

/**
 * Does what SET_CONFIG asks for: one whole field that a driver may write. Every other write has no effect, as on other
 * transports: returns false then. Throws {@link FrontEndViolation}.
 */
export function writeConfig(model: DeviceModel, table: ConfigTable, payload: DataView): boolean {
  const { offset, size, flags } = decodeConfigHeader(payload);
  const source = new Uint8Array(payload.buffer, CONFIG_HEADER_BYTES);
  if (size !== source.length)
    throw new FrontEndViolation(`writes ${size} bytes of configuration in a message with ${source.length}`);
  const fields = Object.values(table);
  const field = fields.find((candidate) => candidate.offset === offset && candidate.width === size);
  if (flags !== 0 || field?.isWritable !== true) return false;
  model.writeConfig?.(offset, source);
  return true;
}
