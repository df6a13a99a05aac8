import { z } from 'zod';
import { CONSOLE_MAX_PORTS } from './layout.ts';

/** The device section of a profile for a console. */
export interface ConsoleSettings {
  /** Characters, 1 to 65535. */
  readonly columns: number;
  readonly rows: number;
  /** 1 to 31; a driver without CONSOLE_MULTIPORT uses one of them. */
  readonly ports: number;
}

/** The schema of the settings. */
export const CONSOLE_SETTINGS: z.ZodType<
  ConsoleSettings,
  { [Key in keyof ConsoleSettings]?: ConsoleSettings[Key] | undefined }
> = z.strictObject({
  columns: z.int().min(1).max(0xffff).default(80).describe('Characters in a row; without it 80.'),
  rows: z.int().min(1).max(0xffff).default(25).describe('Rows; without it 25.'),
  ports: z.int().min(1).max(CONSOLE_MAX_PORTS).default(1).describe('Ports, for CONSOLE_MULTIPORT; without it 1.'),
});
