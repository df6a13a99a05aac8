export * from './tce-facility.ts';
