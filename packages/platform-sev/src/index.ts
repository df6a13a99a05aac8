export * from './memory-conversion.ts';
