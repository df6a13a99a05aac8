/**
 * YAML to checked profile to loaded plugins to a composed run.
 *
 * @packageDocumentation
 */
export type { AnyPlugin, PluginsByKind } from './check-plugin.ts';
export { checkPlugins, type CheckedPlugin, type CheckedPlugins } from './check-plugins.ts';
export * from './compose.ts';
export * from './display-path.ts';
export * from './installed-plugins.ts';
export * from './json-schema.ts';
export { loadPlugin } from './load-plugin.ts';
export * from './load-offers.ts';
export * from './load-profile.ts';
export { LocatedPluginError } from './located-plugin-error.ts';
export * from './machine-missing-error.ts';
export { missingRequirements } from './missing-requirements.ts';
export type { JsonSchema } from './options-json-schema.ts';
export type { PluginKind } from './plugin-use.ts';
export * from './profile.ts';
export { ProfileError } from './profile-error.ts';
export { formatIssue, type ProfileIssue } from './profile-issue.ts';
export { parseQuantity, SIZE, type Quantity, type UnitSystem } from './quantity.ts';
export type { ResolutionOptions } from './resolve-plugin.ts';
export { surveyMachine } from './survey-machine.ts';
