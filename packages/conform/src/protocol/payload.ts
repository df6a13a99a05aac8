/** A region of memory, as messages describe it. */
export interface Region {
  readonly guest: bigint;
  readonly size: bigint;
  readonly user: bigint;
  /** Where it starts in the file that comes along. */
  readonly offset: bigint;
}

/** Fields of a payload: numbers of 32 bits, bigints of 64. */
export type Field = number | bigint;

/** The bytes of fields, one behind the other. */
export function payloadOf(...fields: readonly Field[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(fields.reduce<number>((sum, field) => sum + bytesOf(field), 0)));
  let at = 0;
  for (const field of fields) {
    if (typeof field === 'bigint') view.setBigUint64(at, BigInt.asUintN(64, field), true);
    else view.setUint32(at, field >>> 0, true);
    at += bytesOf(field);
  }
  return new Uint8Array(view.buffer);
}

/** The payload of SET_MEM_TABLE; `count` is what it says, where that is not how many there are. */
export function tablePayload(regions: readonly Region[], count: number = regions.length): Uint8Array {
  return payloadOf(count, 0, ...regions.flatMap(fieldsOf));
}

/** The payload of ADD_MEM_REG and REM_MEM_REG. */
export function regionPayload(region: Region): Uint8Array {
  return payloadOf(0n, ...fieldsOf(region));
}

/** The payload of GET_CONFIG and SET_CONFIG, with so many bytes of configuration. */
export function configPayload(offset: number, bytes: Uint8Array, flags = 0, size: number = bytes.length): Uint8Array {
  return new Uint8Array(Buffer.concat([payloadOf(offset, size, flags), bytes]));
}

function fieldsOf({ guest, size, user, offset }: Region): readonly Field[] {
  return [guest, size, user, offset];
}

function bytesOf(field: Field): number {
  return typeof field === 'bigint' ? 8 : 4;
}
