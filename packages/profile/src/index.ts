export * from './compose.ts';
export * from './profile.ts';
