export * from './device-model.ts';
