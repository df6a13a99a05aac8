export * from './vfio-container.ts';
